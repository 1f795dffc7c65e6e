package locktest

import (
	"runtime"
)

// Footprint is what this process takes.
type Footprint struct {
	Goroutines int
	Heap       uint64 // what is reachable, in bytes
}

// Measure collects garbage first.
func Measure() Footprint {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return Footprint{Goroutines: runtime.NumGoroutine(), Heap: memory.HeapAlloc}
}

// Metric is one of a server's numbers, see servers.Metrics. A server that does not have
// it fails the test.
func Metric(t T, all map[string]float64, name string) int {
	t.Helper()
	n, ok := all[name]
	if !ok {
		t.Fatalf("the server does not count %s", name)
	}
	return int(n)
}

// ExpectNothingLeft waits for what is cleaned up in the background, until there are no
// names on a server that should not be there. It is for locks with a TTL well above
// Soon, so that it is not their expiry that cleans up.
func ExpectNothingLeft(t T, list func() (names []string)) {
	t.Helper()
	var names []string
	gone := Within(Soon, func() bool {
		names = list()
		return len(names) == 0
	})
	if !gone {
		t.Fatalf("left behind: %q", names)
	}
}
