package recipe_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// Node 1 is asked under the list of before, and has been replaced; node 0 is asked under the next one. Both
// have the try, and are a majority of no list: another may have the lock, with a higher token, on
// the two nodes of the next list that this client has not got.
func TestNoMajorityOfTwoLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var edition atomic.Uint64
		h := newManualOf(t, 3, func(c *recipe.Config) { c.Edition = edition.Load })
		c := h.acquire(t.Context(), false)
		synctest.Wait()
		edition.Add(2) // between two of the Takes, say
		first := h.took(0, 7)
		h.took(1, 7)
		synctest.Wait()
		for i := range 2 {
			if e := h.ended(i, wire.Done); e.ID != first.ID {
				t.Errorf("%+v was ended", e)
			}
		}
		h.took(0, 8)
		h.took(1, 8)
		g := h.got(c)
		if g.Token != 8 {
			t.Errorf("the token is %d", g.Token)
		}

		// The same of a renewal. Nobody says that the lease is lost.
		r := h.renew(g)
		h.renewed(0, wire.Done)
		synctest.Wait()
		edition.Add(2)
		h.renewed(1, wire.Done)
		if err := h.returned(r).err; !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Renew = %v", err)
		}
		r = h.renew(g)
		h.renewed(0, wire.Done)
		h.renewed(1, wire.Done)
		h.got(r)
	})
}

// An attempt that asks again though its grant has gone stays out. A node that it cannot reach may still have the key, which
// Release ends.
func TestReleaseEndsWhatIsLeftOfALostGrant(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		g := h.heldOnAll()
		time.Sleep(time.Second)
		for range 2 {
			c := h.acquire(t.Context(), false)
			if !h.idle(0) {
				_, _ = next[wire.Renew](h, 2) // which has the key, and does not answer
				h.nodes[2].down(errAway)
				h.renewed(0, wire.None)
				h.renewed(1, wire.None)
			}
			if r := h.returned(c); !errors.Is(r.err, driver.ErrReleased) {
				t.Errorf("Acquire = %v", r.err)
			}
		}
		h.nodes[2].down(nil)
		r := h.release(g)
		h.ended(0, wire.None)
		h.ended(1, wire.None)
		if r := h.returned(r); !errors.Is(r.err, driver.ErrNotHeld) {
			t.Errorf("Release = %v", r.err)
		}
		h.ended(2, wire.Done)
	})
}

// Once a holder was told of its loss, no renewal says otherwise, and it is told once.
func TestLossIsToldOnce(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		var told atomic.Int32
		c := run(func() (driver.Grant, error) {
			return h.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "me", TTL: 10 * time.Second, Lost: func(error) { told.Add(1) }})
		})
		for i := range 3 {
			h.took(i, 7)
		}
		g := h.got(c)
		r := h.renew(g)
		for i := range 3 {
			h.Notify(i, wire.Notice{Kind: wire.Evicted, AttemptID: "me"})
			for j := range 3 {
				if !h.idle(j) && i == 0 {
					h.looked(j, wire.Holder{})
				}
			}
		}
		synctest.Wait()
		if n := told.Load(); n != 1 {
			t.Errorf("Lost was called %d times", n)
		}
		h.renewed(0, wire.Done)
		h.renewed(1, wire.Done)
		if err := h.returned(r).err; !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Renew = %v", err)
		}
	})
}
