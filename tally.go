package fencelock

import (
	"context"
	"sync"
)

// tally counts what is under way. Unlike a sync.WaitGroup it may grow from zero while somebody waits: Close
// waits while a lease that it has ended is unlocked, too, by its holder.
type tally struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when nothing is under way; nil unless somebody waits for that
}

func (t *tally) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

// wait waits until nothing is under way for once, or until ctx ends.
func (t *tally) wait(ctx context.Context) {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return
	}
	if t.none == nil {
		t.none = make(chan struct{})
	}
	none := t.none
	t.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}
