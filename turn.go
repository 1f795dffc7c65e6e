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
	keys map[string]*turn // of keys whose turn is taken
}

// turn is of one key.
type turn struct {
	waiting *list.List // as chan struct{}; nil until somebody waits
	heard   heard      // by whoever has the turn, for all who wait
}

// take waits for the turn of key. If ctx ends first it returns its cause, and
// the turn is as if take had never been called. What was heard of the server is
// returned in both cases.
func (t *turns) take(ctx context.Context, key string) (*heard, error) {
	t.mu.Lock()
	line, taken := t.keys[key]
	if !taken {
		if t.keys == nil {
			t.keys = make(map[string]*turn)
		}
		line = &turn{}
		t.keys[key] = line
		t.mu.Unlock()
		return &line.heard, nil
	}
	if line.waiting == nil {
		line.waiting = list.New()
	}
	mine := make(chan struct{})
	place := line.waiting.PushBack(mine)
	t.mu.Unlock()

	select {
	case <-mine:
		// Ours, even if ctx ended at the same moment: the acquire that follows
		// looks at ctx itself, and gives the turn up as it always does.
		return &line.heard, nil
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
			line.waiting.Remove(place)
		}
		return &line.heard, context.Cause(ctx)
	}
}

// pass gives the turn of key to the goroutine that has waited longest.
func (t *turns) pass(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passLocked(key)
}

func (t *turns) passLocked(key string) {
	line := t.keys[key]
	if line.waiting == nil || line.waiting.Len() == 0 {
		delete(t.keys, key)
		return
	}
	close(line.waiting.Remove(line.waiting.Front()).(chan struct{}))
}
