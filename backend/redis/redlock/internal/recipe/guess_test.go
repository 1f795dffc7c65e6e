package recipe_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// One node says that the try was ended, and the others say nothing: nobody has confirmed that the attempt waits.
func TestOneNodeIsNoWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newManual(t, 3)
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
