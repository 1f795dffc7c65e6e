package recipe_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// homeOf is the node where those that wait for the tests' key queue, of three.
var homeOf = script.Shard("k") % 3

func others() (a, b int) { return (homeOf + 1) % 3, (homeOf + 2) % 3 }

// A waiter joins the queue of one node, and asks when that tells it, with a higher number and its position.
func TestWaiterQueuesAtHome(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		var waiting atomic.Int32
		c := run(func() (driver.Grant, error) {
			return h.Acquire(t.Context(), driver.Request{
				Key: "k", AttemptID: "me", TTL: 10 * time.Second, Wait: true, Waiting: func() { waiting.Add(1) },
			})
		})
		a, b := others()
		for _, i := range []int{a, b} {
			if r, q := next[wire.Take](h, i); r.Queue {
				t.Errorf("node %d is not the home, and was asked %+v", i, r)
			} else {
				q.done(wire.TakeReply{Outcome: wire.Other, Holder: theirs}, nil)
			}
		}
		r, q := next[wire.Take](h, homeOf)
		if !r.Queue || r.Position != 0 {
			t.Errorf("the home was asked %+v", r)
		}
		q.done(wire.TakeReply{Outcome: wire.Other, Holder: theirs, Position: 42}, nil)
		h.waits(c)
		if waiting.Load() != 1 {
			t.Errorf("it was told %d times that it waits", waiting.Load())
		}
		time.Sleep(time.Second)
		h.nothing(0, 1, 2)
		h.Notify(homeOf, wire.Notice{Kind: wire.Free, AttemptID: "somebody else", Count: 9})
		h.nothing(0, 1, 2)
		h.Notify(homeOf, wire.Notice{Kind: wire.Free, AttemptID: "me", Count: 9})
		again, q := next[wire.Take](h, homeOf)
		if again.ID.Try <= r.ID.Try || again.Position != 42 || again.Floor != 10 {
			t.Errorf("after %+v the home was asked %+v", r, again)
		}
		q.done(wire.TakeReply{Outcome: wire.Done, Count: 10}, nil)
		h.took(a, 10)
		h.got(c)
	})
}

// The home took the key for a waiter, and another has it elsewhere: the waiter joins the queue with the
// end of its try, and asks again soon.
func TestHomeTookTheKey(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		ctx, cancel := context.WithCancel(t.Context())
		c := h.acquire(ctx, true)
		a, b := others()
		h.took(homeOf, 7)
		h.other(a, theirs)
		h.other(b, theirs)
		r, _ := next[wire.End](h, homeOf)
		if !r.Failed || !r.Queue || r.Channel != "me" || r.TTL < 10*time.Second {
			t.Errorf("the home was asked %+v", r)
		}
		h.nothing(0, 1, 2)
		time.Sleep(10 * time.Millisecond)
		next[wire.Take](h, homeOf)
		cancel()
		if r := h.returned(c); !errors.Is(r.err, context.Canceled) {
			t.Errorf("Acquire = %v", r.err)
		}
		// The position in the queue may come after the Release: it is kept out.
		h.release(driver.Grant{Key: "k", AttemptID: "me"})
		if r, _ := next[wire.End](h, homeOf); r.KeepOut == 0 {
			t.Errorf("the home was asked %+v", r)
		}
	})
}

// The first of a queue asks when the lease in its way ends, the others some time.
func TestFirstWaiterWatchesTheLease(t *testing.T) {
	for _, first := range []bool{true, false} {
		manual(t, 3, func(t *testing.T, h *manualNodes) {
			h.acquire(t.Context(), true)
			a, b := others()
			h.other(a, theirs)
			h.other(b, theirs)
			_, q := next[wire.Take](h, homeOf)
			q.done(wire.TakeReply{Outcome: wire.Other, Holder: theirs, Position: 42, First: first}, nil)
			time.Sleep(theirs.Left)
			h.nothing(0, 1, 2)
			time.Sleep(2 * time.Millisecond)
			if !first {
				h.nothing(0, 1, 2)
				time.Sleep(3 * time.Second)
			}
			for i := range 3 {
				next[wire.Take](h, i)
			}
		})
	}
}

// A home that is away, or does not answer, is none.
func TestAnotherHome(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.nodes[homeOf].unfit = errAway
		h.acquire(t.Context(), true)
		a, _ := others()
		if r, _ := next[wire.Take](h, a); !r.Queue {
			t.Errorf("the next node was asked %+v", r)
		}
	})
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.acquire(t.Context(), true)
		a, b := others()
		for try := range 3 {
			r, q := next[wire.Take](h, a)
			if r.Queue != (try == 2) {
				t.Errorf("in try %d the next node was asked %+v", try, r)
			}
			q.done(wire.TakeReply{Outcome: wire.Other, Holder: theirs}, nil)
			h.other(b, theirs)
			time.Sleep(30 * time.Millisecond)
		}
	})
}

// Notices that may have been lost: ask.
func TestNoticesAreBack(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.acquire(t.Context(), true)
		for i := range 3 {
			h.other(i, theirs)
		}
		a, _ := others()
		h.Notify(a, wire.Notice{Kind: wire.NoticesLost})
		h.nothing(0, 1, 2)
		h.Notify(homeOf, wire.Notice{Kind: wire.NoticesLost})
		for i := range 3 {
			h.other(i, theirs)
		}
	})
}

// One node says that the try was ended, and the others say nothing: nobody has confirmed that the attempt waits.
func TestOneNodeIsNoWaiting(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		told := 0
		c := run(func() (driver.Grant, error) {
			return h.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "me", TTL: 10 * time.Second, Wait: true, Waiting: func() { told++ }})
		})
		_, a := next[wire.Take](h, 0)
		a.done(wire.TakeReply{Outcome: wire.Ended}, nil)
		for i := 1; i < 3; i++ {
			_, a := next[wire.Take](h, i)
			a.done(nil, errSilence)
		}
		h.took(0, 7)
		h.took(1, 7)
		h.got(c)
		if told != 0 {
			t.Errorf("it was told %d times that it waits", told)
		}
	})
}
