package recipe_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// turn takes the lock and releases it. It reports whether the client joined the waiters first, and whether
// it told none when it released.
func (h *manualNodes) turn(n int, woke bool) (joined, quiet bool) {
	h.t.Helper()
	attemptID := strconv.Itoa(n)
	c := run(func() (driver.Grant, error) {
		return h.Acquire(h.t.Context(), driver.Request{Key: "k", AttemptID: attemptID, TTL: 10 * time.Second, Wait: true})
	})
	a, _ := others()
	if joined = h.idle(a); joined {
		r, q := next[wire.End](h, homeOf)
		if !r.Failed || !r.Queue || r.ID.AttemptID != attemptID {
			h.t.Errorf("the home was asked %+v", r)
		}
		q.done(wire.Reply{Outcome: wire.None}, nil)
		time.Sleep(time.Second)
		h.nothing(0, 1, 2)
		h.Notify(homeOf, wire.Notice{Kind: wire.Free, AttemptID: attemptID})
	}
	for i := range 3 {
		h.took(i, uint64(n+1))
	}
	g := h.got(c)
	time.Sleep(h.hold)
	r := h.release(g)
	for i := range 3 {
		end, q := next[wire.End](h, i)
		quiet = end.Failed
		q.done(wire.Reply{Outcome: wire.Done, Woke: !quiet && woke && i == homeOf}, nil)
	}
	h.got(r)
	return joined, quiet
}

// A client that comes back at once tells nobody of its releases, a few times in a row, and then lets the
// one go first that it has told.
func TestQuietReleases(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		var joins, quiets string
		for n := range 13 {
			joined, quiet := h.turn(n, true)
			joins, quiets = joins+strconv.Itoa(b2i(joined)), quiets+strconv.Itoa(b2i(quiet))
		}
		// The first tells one, and shows that others wait. Then there are rows of two quiet releases and one that tells.
		if joins != "0000100100100" || quiets != "0110110110110" {
			t.Errorf("joined the waiters %s, told nobody %s", joins, quiets)
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Where nobody waits, a client does not wait either.
func TestNoCourtesyTowardsNobody(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		for n := range 20 {
			if joined, quiet := h.turn(n, n == 0); joined || quiet && n > 3 {
				t.Errorf("in turn %d: joined %t, told nobody %t", n, joined, quiet)
			}
		}
	})
}

// A client that holds the lock for longer than a hand-off takes tells a waiter each time.
func TestNoRowOfLongTurns(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.hold = time.Second
		for n := range 10 {
			if joined, quiet := h.turn(n, true); quiet || joined != (n > 1) {
				t.Errorf("in turn %d: joined %t, told nobody %t", n, joined, quiet)
			}
		}
	})
}

// Whoever does not come back after it told nobody, or comes and goes, tells a waiter after all.
func TestQuietReleaseIsMadeUpFor(t *testing.T) {
	told := func(h *manualNodes) {
		h.t.Helper()
		for i := range 3 {
			if r := h.ended(i, wire.None); r.Failed || r.KeepOut != 0 {
				h.t.Errorf("node %d was asked %+v", i, r)
			}
		}
		h.nothing(0, 1, 2)
	}
	start := func(t *testing.T) *manualNodes {
		h := newManual(t, 3)
		h.turn(0, true)
		if _, quiet := h.turn(1, true); !quiet {
			t.Fatal("it told somebody")
		}
		return h
	}
	synctest.Test(t, func(t *testing.T) {
		h := start(t)
		h.nothing(0, 1, 2)
		time.Sleep(100 * time.Millisecond)
		told(h)
		time.Sleep(time.Minute)
		h.nothing(0, 1, 2)
	})
	synctest.Test(t, func(t *testing.T) {
		h := start(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		c := h.acquire(ctx, true)
		var takes [3]*asked
		for i := range takes {
			_, takes[i] = next[wire.Take](h, i)
		}
		cancel(errors.New("enough"))
		if r := h.returned(c); r.err == nil {
			t.Fatal("it has the lock")
		}
		told(h)
		for _, q := range takes {
			q.done(wire.TakeReply{Outcome: wire.Other, Holder: theirs}, nil)
		}
		h.nothing(0, 1, 2)
	})
}

// A waiter of the same client has the turn that a quiet release leaves, at once and without a message. It is the
// only one that can: the core lets one goroutine ask for a key at a time, and that one is waiting.
func TestQuietReleaseIsForOurOwnWaiter(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.turn(1, true) // it shows that others wait
		holder := h.acquire(t.Context(), true)
		for i := range 3 {
			h.took(i, 2)
		}
		g := h.got(holder)
		waiter := run(func() (driver.Grant, error) {
			return h.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "other", TTL: 10 * time.Second, Wait: true})
		})
		for i := range 3 {
			h.other(i, wire.Holder{ID: wire.ID{AttemptID: "me", Try: 2}, Left: time.Second})
		}
		r := h.release(g)
		for i := range 3 {
			if end, q := next[wire.End](h, i); end.Failed {
				q.done(wire.Reply{Outcome: wire.Done}, nil)
			} else {
				t.Errorf("node %d is to tell somebody", i)
			}
		}
		h.got(r)
		began := time.Now()
		for i := range 3 {
			h.took(i, 3)
		}
		h.got(waiter)
		if took := time.Since(began); took > 0 {
			t.Errorf("the waiter got the lock after %v", took)
		}
	})
}
