package recipe_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

var theirs = wire.Holder{ID: wire.ID{AttemptID: "b", Try: 3}, Meta: "host-7", Left: 1200 * time.Millisecond}

// A late node keeps the key: renewals go to it, and it is ended with the others.
func TestStragglerIsAdopted(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.held()
		h.took(2, 9)
		h.nothing(0, 1, 2)
		c := h.renew(g)
		h.renewed(2, wire.Done)
		h.waits(c)
		h.renewed(0, wire.Done)
		h.got(c)
		c = h.release(g)
		for i := range 3 {
			if r := h.ended(i, wire.Done); r.KeepOut != 0 || r.Failed {
				t.Errorf("node %d was asked %+v", i, r)
			}
		}
		h.got(c)
	})
}

// What a failed try has won is ended: at once where it has the key, when the answer comes where it did not
// have it yet, with a tombstone where no answer comes, and nowhere else.
func TestFailedTryIsEnded(t *testing.T) {
	manual(t, 5, func(t *testing.T, h *manualNodes) {
		ctx, cancel := context.WithCancel(t.Context())
		c := h.acquire(ctx, true)
		id := h.took(0, 7).ID
		h.other(1, theirs)
		cancel()
		if r := h.returned(c); !errors.Is(r.err, context.Canceled) {
			t.Errorf("Acquire = %v, want the context's error", r.err)
		}
		if r := h.ended(0, wire.Done); r.ID != id || !r.Failed || r.KeepOut != 0 {
			t.Errorf("the node that has the key was asked %+v", r)
		}
		h.nothing(0, 1)
		h.took(2, 7)
		if r := h.ended(2, wire.Done); r.ID != id || r.KeepOut != 0 {
			t.Errorf("the node that took the key late was asked %+v", r)
		}
		_, a := next[wire.Take](h, 3)
		a.done(nil, errSilence)
		if r := h.ended(3, wire.None); r.ID != id || r.KeepOut == 0 {
			t.Errorf("the node that does not answer was asked %+v", r)
		}
		_, a = next[wire.Take](h, 4)
		a.done(nil, errAway)
		h.nothing(0, 1, 2, 3, 4)
	})
}

// Who is cancelled at the moment of success has the lock, or nobody has it.
func TestCancelledAtTheMomentOfSuccess(t *testing.T) {
	var granted, cancelled int
	for i := range 300 {
		synctest.Test(t, func(t *testing.T) {
			w := newEnv(t, 3)
			a, b := w.client(), w.client()
			defer a.Close()
			defer b.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*10*time.Microsecond)
			defer cancel()
			g, err := a.Acquire(ctx, driver.Request{Key: "k", AttemptID: "a", TTL: time.Minute, Wait: i%2 == 0})
			if err == nil {
				granted++
				if r := a.Renew(t.Context(), []driver.Grant{g})[0]; r.Err != nil {
					t.Errorf("cancelled after %d0 µs: granted, and then %v", i, r.Err)
				}
				if err := a.Release(t.Context(), g); err != nil {
					t.Errorf("cancelled after %d0 µs: Release = %v", i, err)
				}
				return
			}
			cancelled++
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cancelled after %d0 µs: %v", i, err)
			}
			_ = a.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "a"})
			time.Sleep(10 * time.Millisecond)
			if s, err := b.Inspect(t.Context(), "k"); err != nil || s.Held() || s.Waiters != 0 {
				t.Errorf("cancelled after %d0 µs: it left %+v, %v", i, s, err)
			}
			if _, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "b", TTL: time.Minute}); err != nil {
				t.Errorf("cancelled after %d0 µs: the next gets %v", i, err)
			}
		})
	}
	if granted < 30 || cancelled < 30 {
		t.Errorf("%d granted and %d cancelled prove little", granted, cancelled)
	}
}

// If the answer that completes a try is before the end of the context, the caller has the lock, also if it
// has not looked yet.
func TestAnswerBeforeCancel(t *testing.T) {
	for range 20 {
		manual(t, 3, func(t *testing.T, h *manualNodes) {
			ctx, cancel := context.WithCancel(t.Context())
			c := h.acquire(ctx, true)
			h.took(0, 7)
			_, a := next[wire.Take](h, 1)
			a.done(wire.TakeReply{Outcome: wire.Done, Count: 7}, nil)
			cancel()
			h.got(c)
			h.nothing(0, 1)
		})
	}
}

func TestHeldBy(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.nodes[0].unfit = errAway
		c := h.acquire(t.Context(), false)
		h.other(1, theirs)
		h.waits(c)
		h.other(2, theirs)
		var held *driver.HeldError
		if r := h.returned(c); !errors.As(r.err, &held) || held.Identity != "host-7" || held.Left != 1200*time.Millisecond {
			t.Errorf("Acquire = %v, want who holds it and for how long", r.err)
		}
		h.nothing(1, 2)
	})
}

// A node whose vote would decide counts as a fault: the lock is not "held".
func TestDecisiveVote(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.nodes[0].unfit = fmt.Errorf("%w: %w: connection refused", driver.ErrUnavailable, wire.ErrNotSent)
		c := h.acquire(t.Context(), false)
		for range 3 { // in case it was two that began at once
			h.took(1, 7)
			h.other(2, theirs)
			h.ended(1, wire.Done)
			time.Sleep(time.Second)
		}
		r := h.returned(c)
		var e *recipe.NoQuorumError
		if !errors.As(r.err, &e) || errors.Is(r.err, driver.ErrHeld) || !errors.Is(r.err, driver.ErrUnavailable) || errors.Is(r.err, driver.ErrRefused) {
			t.Fatalf("Acquire = %v, want a NoQuorumError that is ErrUnavailable", r.err)
		}
		const want = `no quorum: 1 of 3 nodes agree, 2 are needed; h0: unavailable: not sent: connection refused; ` +
			`h2: held by another ("host-7"), for 1.2s more unless it renews; h1: ok`
		if e.Error() != want {
			t.Errorf("the error says\n%s\nwant\n%s", e, want)
		}
		if len(e.Nodes) != 3 || e.Nodes[2].Node != "h2" || !errors.Is(e.Nodes[2].Err, driver.ErrHeld) || e.Nodes[1].Err != nil {
			t.Errorf("the nodes are %+v", e.Nodes)
		}
	})
}

// A majority that refuses for good is no outage. It is told when each node has had its say, or a moment to.
func TestRefusedForGood(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := h.acquire(t.Context(), true)
		for i := range 2 {
			_, a := next[wire.Take](h, i)
			a.done(nil, fmt.Errorf("%w: NOPERM", driver.ErrRefused))
		}
		h.waits(c)
		time.Sleep(100 * time.Millisecond)
		if r := h.returned(c); errors.Is(r.err, driver.ErrUnavailable) || errors.Is(r.err, driver.ErrRefused) {
			t.Errorf("Acquire = %v: a third node may have done something, and asking again will not help", r.err)
		}
	})
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.nodes[0].unfit = errAway
		c := h.acquire(t.Context(), true)
		for i := range 2 {
			_, a := next[wire.Take](h, i+1)
			a.done(nil, fmt.Errorf("%w: %w: OOM", driver.ErrUnavailable, driver.ErrRefused))
		}
		if r := h.returned(c); !errors.Is(r.err, driver.ErrUnavailable) || !errors.Is(r.err, driver.ErrRefused) {
			t.Errorf("Acquire = %v: nothing was done, and asking again may help", r.err)
		}
	})
}

// Two with one node each, and a third with the last: nobody has it, and nobody is told that it is held.
func TestSplitVotesAreRetried(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := h.acquire(t.Context(), false)
		first := h.took(0, 7).ID
		h.other(1, theirs)
		h.other(2, wire.Holder{ID: wire.ID{AttemptID: "c", Try: 1}})
		if r := h.ended(0, wire.Done); r.ID != first || !r.Failed {
			t.Errorf("asked %+v", r)
		}
		time.Sleep(time.Second)
		r := h.took(0, 8)
		if r.ID.Try <= first.Try || r.ID.AttemptID != first.AttemptID || r.Floor < 8 {
			t.Errorf("after try %d came %+v", first.Try, r)
		}
		h.took(1, 8)
		if g := h.got(c); g.Token != 8 {
			t.Errorf("token %v", g.Token)
		}
	})
}

// A majority has taken the key, and lost it before the token was written back: the next try
// needs one round.
func TestWriteBackThatFailed(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := h.acquire(t.Context(), false)
		h.took(0, 7)
		h.took(1, 5)
		r, a := next[wire.WriteBack](h, 1)
		if r.Token != 7 {
			t.Errorf("token %d is written back", r.Token)
		}
		h.nothing(0)
		a.done(wire.Reply{Outcome: wire.None}, nil)
		h.ended(0, wire.Done)
		h.ended(1, wire.None)
		time.Sleep(time.Second)
		if r := h.took(0, 8); r.Floor != 8 {
			t.Errorf("the next try asks for %d", r.Floor)
		}
		h.took(1, 8)
		if g := h.got(c); g.Token != 8 {
			t.Errorf("token %v", g.Token)
		}
	})
}

// A grant that took longer than its lease is none.
func TestTooLate(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := run(func() (driver.Grant, error) {
			return h.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "me", TTL: 100 * time.Millisecond, Wait: true})
		})
		h.took(0, 7)
		time.Sleep(24 * time.Millisecond)
		h.took(1, 6)
		time.Sleep(time.Second) // the write-back is not answered
		r := h.returned(c)
		if !errors.Is(r.err, driver.ErrUnavailable) {
			t.Errorf("Acquire = %v", r.err)
		}
		h.ended(0, wire.Done)
		h.ended(1, wire.Done)
	})
}
