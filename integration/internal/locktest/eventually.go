package locktest

import "time"

// Within reports whether ok returns true within some time. It may be called from any
// goroutine.
func Within(d time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(d)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// Eventually waits until ok returns true.
func Eventually(t T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Within(within, ok) {
		t.Fatalf("not within %v: %s", within, what)
	}
}

// Await waits for a channel to be closed: a fault that happens, a lease that ends.
func Await(t T, within time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatalf("not within %v: %s", within, what)
	}
}
