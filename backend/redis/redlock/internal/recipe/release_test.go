package recipe_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// A lock that is unlocked at once, of which a node has not answered: it is ended there after the answer,
// and nothing has to be remembered.
func TestReleaseWaitsForTheLastAnswer(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := h.release(h.held())
		h.ended(0, wire.Done)
		h.ended(1, wire.Done)
		h.got(c)
		r, a := next[wire.Take](h, 2)
		h.nothing(2)
		a.done(wire.TakeReply{Outcome: wire.Done, Count: 7}, nil)
		if e := h.ended(2, wire.Done); e.KeepOut != 0 || e.ID != r.ID {
			t.Errorf("node 2 was asked %+v", e)
		}
		time.Sleep(time.Minute)
		h.nothing(0, 1, 2)
	})
}

// If the answer does not come, the node is told all the same, and to keep the try out.
func TestReleaseDoesNotWaitForLong(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := h.release(h.held())
		h.ended(0, wire.Done)
		h.ended(1, wire.Done)
		h.got(c)
		time.Sleep(100 * time.Millisecond)
		_, a := next[wire.Take](h, 2)
		if e := h.ended(2, wire.None); e.KeepOut == 0 {
			t.Errorf("node 2 was asked %+v", e)
		}
		a.done(nil, errSilence)
		h.nothing(2)
	})
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.held()
		time.Sleep(time.Second)
		c := h.release(g)
		if e := h.ended(2, wire.None); e.KeepOut == 0 {
			t.Errorf("node 2 was asked %+v", e)
		}
		for i := range 2 {
			if e := h.ended(i, wire.Done); e.KeepOut != 0 {
				t.Errorf("node %d, all of whose answers are in, was asked %+v", i, e)
			}
		}
		h.got(c)
	})
}

// An attempt that this client knows nothing of is kept out everywhere, whatever its tries were.
func TestReleaseOfAStranger(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := h.release(driver.Grant{Key: "k", AttemptID: "me"})
		for i := range 3 {
			if e := h.ended(i, wire.None); e.KeepOut == 0 || e.ID.Try < 1<<52 || e.ID.Try >= 1<<53 {
				t.Errorf("node %d was asked %+v", i, e)
			}
		}
		if r := h.returned(c); !errors.Is(r.err, driver.ErrNotHeld) {
			t.Errorf("Release = %v", r.err)
		}
		a := h.acquire(t.Context(), true)
		if r := h.returned(a); !errors.Is(r.err, driver.ErrReleased) {
			t.Errorf("Acquire = %v", r.err)
		}
		h.nothing(0, 1, 2)
	})
}

// Release comes while the attempt asks: it gets nothing, and what it had won is ended.
func TestReleasedWhileItAsks(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		a := h.acquire(t.Context(), true)
		h.took(0, 7)
		c := h.release(driver.Grant{Key: "k", AttemptID: "me"})
		if r := h.returned(a); !errors.Is(r.err, driver.ErrReleased) {
			t.Errorf("Acquire = %v", r.err)
		}
		if e := h.ended(0, wire.Done); e.KeepOut != 0 {
			t.Errorf("node 0 was asked %+v", e)
		}
		for i := 1; i < 3; i++ {
			if e := h.ended(i, wire.None); e.KeepOut == 0 {
				t.Errorf("node %d, whose answer is missing, was asked %+v", i, e)
			}
		}
		if r := h.returned(c); !errors.Is(r.err, driver.ErrNotHeld) {
			t.Errorf("Release = %v", r.err)
		}
		h.took(1, 7)
		h.ended(1, wire.None)
	})
}

func TestReleaseTellsLoss(t *testing.T) {
	for _, c := range []struct {
		answers [3]wire.Outcome // zero: none
		want    error
	}{
		{[3]wire.Outcome{wire.Done, wire.Done, wire.None}, nil},
		{[3]wire.Outcome{wire.Done, wire.None, wire.None}, driver.ErrNotHeld},
		{[3]wire.Outcome{wire.Done, wire.None, 0}, driver.ErrUnavailable},
		{[3]wire.Outcome{0, wire.None, 0}, driver.ErrUnavailable},
		{[3]wire.Outcome{0, wire.None, wire.Other}, driver.ErrNotHeld},
	} {
		manual(t, 3, func(t *testing.T, h *manualNodes) {
			g := h.heldOnAll()
			r := h.release(g)
			for i, o := range c.answers {
				_, a := next[wire.End](h, i)
				if o == 0 {
					a.done(nil, errSilence)
				} else {
					a.done(wire.Reply{Outcome: o}, nil)
				}
			}
			if got := h.returned(r); !errors.Is(got.err, c.want) {
				t.Errorf("%v: Release = %v, want %v", c.answers, got.err, c.want)
			}
		})
	}
}
