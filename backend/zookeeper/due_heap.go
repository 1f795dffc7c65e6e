package zookeeper

import (
	"container/heap"
	"time"
)

// dueHeap has the attempts that are to be looked at, the next on top. Its methods are called
// with registry.mu held.
type dueHeap struct{ attempts attemptHeap }

// put adds an attempt, or moves it.
func (h *dueHeap) put(a *attempt, due time.Time) {
	a.due = due
	if a.index < 0 {
		heap.Push(&h.attempts, a)
		return
	}
	heap.Fix(&h.attempts, a.index)
}

func (h *dueHeap) remove(a *attempt) {
	if a.index >= 0 {
		heap.Remove(&h.attempts, a.index)
	}
}

// next returns the attempt that is due first, or nil.
func (h *dueHeap) next() *attempt {
	if len(h.attempts) == 0 {
		return nil
	}
	return h.attempts[0]
}

type attemptHeap []*attempt

func (h attemptHeap) Len() int { return len(h) }

func (h attemptHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h attemptHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *attemptHeap) Push(x any) {
	a := x.(*attempt)
	a.index = len(*h)
	*h = append(*h, a)
}

func (h *attemptHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.index = -1
	return a
}
