package recipe_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// An End that gets no answer is sent again, when the node is fit, until it does or the key has run out.
func TestEndIsSentAgain(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.heldOnAll()
		c := h.release(g)
		h.ended(0, wire.Done)
		h.ended(1, wire.Done)
		h.got(c)
		first, a := next[wire.End](h, 2)
		h.nodes[2].down(errAway)
		a.done(nil, errSilence)
		time.Sleep(10 * time.Second)
		h.nothing(0, 1, 2)
		h.nodes[2].down(nil)
		time.Sleep(time.Second)
		again, a := next[wire.End](h, 2)
		if again.ID != first.ID || again.KeepOut == 0 {
			t.Errorf("after %+v came %+v", first, again)
		}
		a.done(nil, errSilence)
		time.Sleep(time.Second)
		h.ended(2, wire.Done)
		time.Sleep(time.Minute)
		h.nothing(0, 1, 2)
	})
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.heldOnAll()
		h.release(g)
		for i := range 3 {
			_, a := next[wire.End](h, i)
			a.done(nil, errAway)
			h.nodes[i].down(errAway)
		}
		time.Sleep(2 * time.Minute)
		for i := range 3 {
			h.nodes[i].down(nil)
		}
		time.Sleep(time.Second)
		h.nothing(0, 1, 2)
	})
}

// A node that a Take has not reached has nothing to be ended.
func TestNodeWithoutTakeIsNotAsked(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.held()
		_, a := next[wire.Take](h, 2)
		a.done(nil, errAway)
		c := h.release(g)
		h.ended(0, wire.Done)
		h.nothing(2)
		h.ended(1, wire.None)
		if r := h.returned(c); !errors.Is(r.err, driver.ErrNotHeld) {
			t.Errorf("Release = %v", r.err)
		}
	})
}
