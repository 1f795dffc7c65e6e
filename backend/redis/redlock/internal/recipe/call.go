package recipe

import (
	"context"
	"sync"
	"time"
)

// A call is what a call that waits for nodes needs for it: one channel, one timer. They are used
// again, by one backend only, since those of a testing/synctest bubble must stay in it.
type call struct {
	signal  chan struct{} // holds one signal, so that raise never blocks
	timer   *time.Timer
	closing <-chan struct{}
}

// calls are those that are not in use.
type calls struct {
	pool    sync.Pool // of *call
	closing <-chan struct{}
}

func (c *calls) begin() *call {
	if w, ok := c.pool.Get().(*call); ok {
		return w
	}
	w := &call{signal: make(chan struct{}, 1), timer: time.NewTimer(time.Hour), closing: c.closing}
	w.timer.Stop()
	return w
}

// end gives a call back. Nobody may ring any more.
func (c *calls) end(w *call) {
	w.timer.Stop()
	select {
	case <-w.signal:
	default:
	}
	c.pool.Put(w)
}

// raise wakes the call that waits for a signal, if there is one.
func raise(signal chan struct{}) {
	if signal == nil {
		return
	}
	select {
	case signal <- struct{}{}:
	default: // it is about to wake up
	}
}

// reason is why a call was woken.
type reason uint8

const (
	signaled reason = iota
	timeUp
	ctxEnded
	closed
)

// wait sleeps until the signal, the timer, or the end of ctx or of the backend.
func (w *call) wait(ctx context.Context) reason {
	select {
	case <-w.signal:
		return signaled
	case <-w.timer.C:
		return timeUp
	case <-ctx.Done():
		return ctxEnded
	case <-w.closing:
		return closed
	}
}
