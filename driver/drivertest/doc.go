// Package drivertest is the conformance suite of fencelock: it checks that a
// backend keeps the contract of [driver.Backend] on a real server. It needs the
// standard library only, so that any module can import it in a test:
//
//	func TestConformance(t *testing.T) {
//		drivertest.Run(t, drivertest.Harness{
//			New: func(t drivertest.T) driver.Backend {
//				b, err := mylocks.Dial(t.Context(), addr)
//				if err != nil {
//					t.Fatalf("dial: %v", err)
//				}
//				return b // the suite closes it
//			},
//			Want: driver.Info{
//				Name: "mylocks", Guarantee: driver.Advisory, Features: driver.Push,
//				MinTTL: 100 * time.Millisecond, MaxTTL: time.Hour,
//			},
//			TTL: time.Second,
//		})
//	}
//
// Each [Rule] is a subtest with a watchdog; a failure quotes the sentence of the
// contract that was broken. Run the suite with the race detector. It finds no
// fault where there is none, but it may miss one: what it does under faults
// depends on the hooks that the [Harness] offers.
//
// # What runs
//
// Harness.Want decides what is tested, never what the backend says of itself: a
// backend that forgets to declare a feature fails the rule Info. A rule for a
// feature or a guarantee that Want does not claim does not apply. A rule whose
// hook is missing, or that Harness.Skip names, is skipped with its reason; a skip
// is a failure where the environment variable CI is set, or FENCELOCK_STRICT=1.
// Harness.Lacks is for what a server does not have at all, such as sessions.
//
// # Without a testing.T
//
// [Check] runs the same rules anywhere and returns what was broken: in a
// testing/synctest bubble, where a backend without a network is tested in
// virtual time, or to try a broken backend and see that the suite notices. The
// tests of this package do the latter for every rule.
package drivertest
