package drivertest

import "context"

// T is what a hook may use of a running rule. A *testing.T has all of it; the
// suite hands out its own, so that it can run without one.
type T interface {
	Helper()
	Name() string
	// Context is done when the rule ends, just before the Cleanup functions run.
	Context() context.Context
	Cleanup(f func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	// Fatalf ends the goroutine that calls it: call it only in the one that the
	// hook was called in.
	Fatalf(format string, args ...any)
	Failed() bool
}
