package locktest

import "runtime"

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
