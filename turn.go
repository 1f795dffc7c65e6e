package fencelock

import (
	"container/list"
	"context"
	"sync"
)

// turns is the queue of this process: for each key at most one goroutine at a
// time waits at the server, the others wait here, first come, first served. A
// thousand goroutines that want one key cost the server one waiter.
//
// The turn is given up when the lock is granted, not when it is released: the
// next goroutine joins the server's queue while this one holds the lock, so that
// the hand-off between two goroutines of one process is as quick as between two
// processes, and fair to both.
type turns struct {
	mu   sync.Mutex
	keys map[string]*list.List // keys whose turn is taken → those waiting for it, as chan struct{}
}

// take waits for the turn of key. If ctx ends first it returns its cause, and
// the turn is as if take had never been called.
func (t *turns) take(ctx context.Context, key string) error {
	t.mu.Lock()
	waiting, taken := t.keys[key]
	if !taken {
		if t.keys == nil {
			t.keys = make(map[string]*list.List)
		}
		t.keys[key] = nil // taken, nobody waits
		t.mu.Unlock()
		return nil
	}
	if waiting == nil {
		waiting = list.New()
		t.keys[key] = waiting
	}
	mine := make(chan struct{})
	place := waiting.PushBack(mine)
	t.mu.Unlock()

	select {
	case <-mine:
		// Ours, even if ctx ended at the same moment: the acquire that follows
		// looks at ctx itself, and gives the turn up as it always does.
		return nil
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		select {
		case <-mine:
			// pass came first: it closed the channel and took us off the list
			// before we got the mutex. The turn is ours and must not be lost.
			t.passLocked(key)
		default:
			// We came first: with the mutex held, nobody can pass to us any more
			// once we are off the list.
			waiting.Remove(place)
		}
		return context.Cause(ctx)
	}
}

// pass gives the turn of key to the goroutine that has waited longest.
func (t *turns) pass(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passLocked(key)
}

func (t *turns) passLocked(key string) {
	waiting := t.keys[key]
	if waiting == nil || waiting.Len() == 0 {
		delete(t.keys, key)
		return
	}
	close(waiting.Remove(waiting.Front()).(chan struct{}))
}
