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
	last    lastAnswer // to the goroutine that has the turn, for all who wait
}

// take waits for the turn of key. If ctx ends first it returns its cause, and
// the turn is as if take had never been called. The server's last answer is
// returned in both cases.
func (t *turns) take(ctx context.Context, key string) (*lastAnswer, error) {
	t.mu.Lock()
	k, taken := t.keys[key]
	if !taken {
		if t.keys == nil {
			t.keys = make(map[string]*turn)
		}
		k = &turn{}
		t.keys[key] = k
		t.mu.Unlock()
		return &k.last, nil
	}
	if k.waiting == nil {
		k.waiting = list.New()
	}
	mine := make(chan struct{})
	place := k.waiting.PushBack(mine)
	t.mu.Unlock()

	select {
	case <-mine:
		// Ours, even if ctx ended at the same moment: the acquire that follows
		// looks at ctx itself, and gives the turn up as it always does.
		return &k.last, nil
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		select {
		case <-mine:
			// handOn came first: it closed the channel and took us off the list
			// before we got the mutex. The turn is ours and must not be lost.
			t.handOnLocked(key)
		default:
			// We came first: with the mutex held, nobody can hand the turn to us any more
			// once we are off the list.
			k.waiting.Remove(place)
		}
		return &k.last, context.Cause(ctx)
	}
}

// handOn gives the turn of key to the goroutine that has waited longest.
func (t *turns) handOn(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handOnLocked(key)
}

func (t *turns) handOnLocked(key string) {
	k := t.keys[key]
	if k.waiting == nil || k.waiting.Len() == 0 {
		delete(t.keys, key)
		return
	}
	close(k.waiting.Remove(k.waiting.Front()).(chan struct{}))
}
