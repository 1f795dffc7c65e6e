// Package servers starts the real servers that the tests run against, and finds
// out by itself how that is possible on this machine. See integration/README.md
// for the ways it tries, and the variables that choose one.
//
// A test that cannot get its server fails. It is never skipped: a backend that was
// not tested against its server would look tested.
//
// Every test package that uses it has
//
//	func TestMain(m *testing.M) { servers.Main(m) }
//
// which removes what the tests have started, also when they fail.
package servers
