package recipe_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

func (h *manualNodes) looked(node int, holder wire.Holder) {
	h.t.Helper()
	_, a := next[wire.Look](h, node)
	a.done(wire.LookReply{Held: holder.ID.AttemptID != "", Holder: holder}, nil)
}

// That one node has ended a grant is a rumour; that a majority has, is a loss.
func TestEvictionIsAskedAbout(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		var lost atomic.Value
		c := run(func() (driver.Grant, error) {
			return h.Acquire(t.Context(), driver.Request{
				Key: "k", AttemptID: "me", TTL: 10 * time.Second, Lost: func(why error) { lost.Store(why) },
			})
		})
		id := h.took(0, 7).ID
		h.took(1, 7)
		h.took(2, 7)
		h.got(c)
		h.Notify(0, wire.Notice{Kind: wire.Evicted, AttemptID: "me"})
		h.looked(0, wire.Holder{})
		h.Notify(1, wire.Notice{Kind: wire.Evicted, AttemptID: "me"}) // while it is asked
		h.looked(1, wire.Holder{ID: id})
		h.looked(2, wire.Holder{ID: id})
		synctest.Wait()
		if why := lost.Load(); why != nil {
			t.Fatalf("lost after one eviction: %v", why)
		}
		h.looked(0, wire.Holder{})
		h.looked(1, theirs)
		synctest.Wait()
		if why, _ := lost.Load().(error); !errors.Is(why, driver.ErrEvicted) {
			t.Errorf("Lost was called with %v", why)
		}
	})
}

// A grant whose keys were ended before its last answer was in is none: the next try has another number.
func TestEvictedBeforeItIsGranted(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := h.acquire(t.Context(), true)
		first := h.took(0, 7).ID
		h.Notify(0, wire.Notice{Kind: wire.Evicted, AttemptID: "me"})
		h.took(1, 7)
		h.waits(c)
		h.ended(0, wire.None)
		h.ended(1, wire.None)
		next[wire.Take](h, 2)
		if r := h.took(0, 8); r.ID.Try <= first.Try {
			t.Errorf("after %v came %v", first, r.ID)
		}
		h.took(1, 8)
		h.got(c)
	})
}

// Too few nodes answer to tell who has the key: all who may have it are ended, and then it is free.
func TestEvictInDoubt(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		h.nodes[0].unfit = errAway
		c := run(func() (g driver.Grant, err error) { return g, h.Evict(t.Context(), "k", "") })
		h.looked(1, theirs)
		h.looked(2, wire.Holder{})
		if r := h.ended(1, wire.Done); !r.Evict || r.KeepOut == 0 || r.ID != theirs.ID {
			t.Errorf("node 1 was asked %+v", r)
		}
		h.ended(2, wire.None)
		h.looked(1, wire.Holder{})
		h.looked(2, wire.Holder{})
		h.got(c)
	})
}

// Inspect looks again where the nodes that answer name different tokens: one that gave no answer decides which of them
// was granted.
func TestInspectAsksForTheToken(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		status := make(chan driver.Status, 1)
		go func() {
			s, err := h.Inspect(t.Context(), "k")
			if err != nil {
				t.Error(err)
			}
			status <- s
		}()
		id := wire.ID{AttemptID: "other", Try: 3}
		h.looked(0, wire.Holder{ID: wire.ID{AttemptID: "other", Try: 2}, Token: 6}) // left from a try that failed
		h.looked(1, wire.Holder{ID: id, Token: 8})
		_, away := next[wire.Look](h, 2)
		away.done(nil, errAway)
		time.Sleep(150 * time.Millisecond)
		h.looked(0, wire.Holder{ID: id, Token: 7})
		h.looked(1, wire.Holder{ID: id, Token: 8})
		_, silent := next[wire.Look](h, 2)
		silent.done(nil, errAway)
		time.Sleep(time.Second)
		h.looked(0, wire.Holder{ID: id, Token: 7})
		h.looked(1, wire.Holder{ID: id, Token: 8})
		h.looked(2, wire.Holder{ID: id, Token: 8})
		if s := <-status; !s.Held() || s.Holders[0].Token != 8 {
			t.Errorf("%+v, want token 8", s)
		}
	})
}
