// Package locktest is what the tests of all backends do on real servers: open clients, lock
// and unlock, wait for what must happen, and keep a book of who held what.
package locktest

import "github.com/fencelock/fencelock/driver/drivertest"

// T is what helpers here need: a *testing.T, or a rule of the conformance suite.
type T = drivertest.T
