package recipe_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

func TestRenewal(t *testing.T) {
	for _, c := range []struct {
		answers [3]wire.Outcome // zero: none
		want    error
	}{
		{[3]wire.Outcome{wire.Done, 0, wire.Done}, nil},
		{[3]wire.Outcome{wire.Done, wire.Other, wire.None}, driver.ErrNotHeld},
		{[3]wire.Outcome{0, wire.Other, wire.None}, driver.ErrNotHeld},
		{[3]wire.Outcome{wire.Done, 0, wire.None}, driver.ErrUnavailable},
		{[3]wire.Outcome{0, 0, 0}, driver.ErrUnavailable},
	} {
		manual(t, 3, func(t *testing.T, h *manualNodes) {
			g := h.heldOnAll()
			r := h.renew(g)
			for i, o := range c.answers {
				_, a := next[wire.Renew](h, i)
				if o == 0 {
					a.done(nil, errSilence)
				} else {
					a.done(wire.RenewReply{Outcomes: []wire.Outcome{o}}, nil)
				}
			}
			if got := h.returned(r); !errors.Is(got.err, c.want) {
				t.Errorf("%v: Renew = %v, want %v", c.answers, got.err, c.want)
			}
		})
	}
}

// A node that has lost the key gets it back for what is left, after a majority has kept the lease; and
// counts when it says so in the next renewal.
func TestRepair(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.held()
		h.took(2, 9)
		c := h.renew(g)
		h.renewed(0, wire.None)
		h.nothing(0)
		h.renewed(1, wire.Done)
		h.waits(c)
		time.Sleep(time.Second)
		h.renewed(2, wire.Done)
		h.got(c)
		r, a := next[wire.Repair](h, 0)
		if r.Token != 7 || r.ID.AttemptID != "me" || r.TTL < 9*time.Second || r.TTL > 9200*time.Millisecond || r.Meta != "mine" || r.Channel != "me" {
			t.Errorf("the repair is %+v", r)
		}

		// Its answer counts nowhere, not even in a renewal that is under way.
		c = h.renew(g)
		h.renewed(1, wire.Done)
		h.renewed(2, wire.None)
		a.done(wire.Reply{Outcome: wire.Done}, nil)
		h.waits(c)
		h.renewed(0, wire.Done)
		h.got(c)
		_, a = next[wire.Repair](h, 2)
		a.done(wire.Reply{Outcome: wire.Done}, nil)

		c = h.release(g)
		for i := range 3 {
			if e := h.ended(i, wire.Done); e.KeepOut != 0 {
				t.Errorf("all repairs are answered, and node %d was asked %+v", i, e)
			}
		}
		h.got(c)
	})
}

// A lease that a majority has not kept is repaired nowhere.
func TestNoRepairWithoutMajority(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.heldOnAll()
		c := h.renew(g)
		h.renewed(0, wire.Done)
		h.renewed(1, wire.None)
		h.renewed(2, wire.None)
		if r := h.returned(c); !errors.Is(r.err, driver.ErrNotHeld) {
			t.Errorf("Renew = %v", r.err)
		}
		h.nothing(0, 1, 2)
	})
}

// A repair may be a late packet: a Release that comes before its answer has the node keep it out. And
// there is none after a Release.
func TestReleaseKeepsRepairsOut(t *testing.T) {
	for _, lost := range []bool{false, true} {
		manual(t, 3, func(t *testing.T, h *manualNodes) {
			g := h.heldOnAll()
			c := h.renew(g)
			h.renewed(0, wire.Done)
			h.renewed(1, wire.Done)
			h.got(c)
			_, late := next[wire.Renew](h, 2)
			late.done(wire.RenewReply{Outcomes: []wire.Outcome{wire.None}}, nil)
			_, repair := next[wire.Repair](h, 2)
			if lost { // and an answer that was given up is no answer
				repair.done(nil, errSilence)
			}
			c = h.release(g)
			for i := range 3 {
				if e := h.ended(i, wire.Done); (e.KeepOut > 0) != (i == 2) {
					t.Errorf("node %d was asked %+v", i, e)
				}
			}
			h.got(c)
			if !lost {
				repair.done(wire.Reply{Outcome: wire.Ended}, nil)
			}
			h.nothing(0, 1, 2)
		})
	}
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.heldOnAll()
		c := h.renew(g)
		h.renewed(0, wire.Done)
		h.renewed(1, wire.Done)
		h.got(c)
		_, late := next[wire.Renew](h, 2)
		c = h.release(g)
		for i := range 3 {
			h.ended(i, wire.Done)
		}
		h.got(c)
		late.done(wire.RenewReply{Outcomes: []wire.Outcome{wire.None}}, nil)
		h.nothing(0, 1, 2)
	})
}

// The attempt of a grant asks again: it is the same grant, and none of its keys is taken again.
func TestConfirmation(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.heldOnAll()
		c := h.acquire(t.Context(), true)
		h.renewed(0, wire.Done)
		h.renewed(1, wire.Done)
		if again := h.got(c); again.Token != g.Token || !again.Start.Equal(g.Start) {
			t.Errorf("got %+v after %+v", again, g)
		}
		next[wire.Renew](h, 2)
		h.nothing(0, 1, 2)
	})
}

// A node that is behind is renewed, too, when the Renew has returned and its context has ended: otherwise the lease would
// be on fewer nodes in the end.
func TestRenewalOfANodeThatIsBehind(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.heldOnAll()
		ctx, cancel := context.WithCancel(t.Context())
		r := run(func() (driver.Grant, error) { return g, h.Renew(ctx, []driver.Grant{g})[0].Err })
		h.renewed(0, wire.Done)
		h.renewed(1, wire.Done)
		h.got(r)
		cancel()
		if _, a := next[wire.Renew](h, 2); a.ctx.Err() != nil {
			t.Error("node 2 is not renewed")
		}
	})
}
