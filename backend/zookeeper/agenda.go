package zookeeper

import (
	"container/heap"
	"time"
)

// agenda is what a session's keeper has to look at, the next on top. Its methods are
// called with backend.mu held.
type agenda struct{ claims claimHeap }

// put enters a claim, or moves it.
func (a *agenda) put(c *claim, due time.Time) {
	c.due = due
	if c.index < 0 {
		heap.Push(&a.claims, c)
		return
	}
	heap.Fix(&a.claims, c.index)
}

func (a *agenda) remove(c *claim) {
	if c.index >= 0 {
		heap.Remove(&a.claims, c.index)
	}
}

// next returns the claim that is due first, or nil.
func (a *agenda) next() *claim {
	if len(a.claims) == 0 {
		return nil
	}
	return a.claims[0]
}

type claimHeap []*claim

func (h claimHeap) Len() int           { return len(h) }
func (h claimHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h claimHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *claimHeap) Push(x any) {
	c := x.(*claim)
	c.index = len(*h)
	*h = append(*h, c)
}

func (h *claimHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	c.index = -1
	return c
}
