package locktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
)

// Churn has many callers of a client lock and unlock.
type Churn struct {
	Client    *fencelock.Client
	Rival     *fencelock.Client // has half of the callers, where they contend
	Workers   int
	Contended int // keys that both clients want

	book Ledger
}

// Run has them do so a number of times, and returns when all is unlocked. Now and then
// they contend with the rival, or give up.
func (c *Churn) Run(t *testing.T, times int) (took time.Duration) {
	t.Helper()
	began := time.Now()
	var working sync.WaitGroup
	for w := range c.Workers {
		working.Go(func() { c.work(t, w, times/c.Workers) })
	}
	working.Wait()
	return time.Since(began)
}

func (c *Churn) work(t *testing.T, w, times int) {
	const keys = 300
	for i := range times {
		key, l := fmt.Sprint((i*7+w*13)%keys), c.Client
		switch {
		case i%50 == 0:
			key, l = fmt.Sprint("contended ", w%c.Contended), []*fencelock.Client{c.Client, c.Rival}[w/c.Contended%2]
		case i%97 == 0:
			giveUp(t, c.Client, fmt.Sprint("given up ", w))
			continue
		}
		lease, err := l.Lock(t.Context(), key)
		if err == nil {
			c.book.Enter(t, lease)
			err = lease.Unlock(t.Context())
		}
		if err != nil {
			t.Errorf("worker %d: %v", w, err)
			return
		}
	}
}

// giveUp begins to lock, and cancels.
func giveUp(t *testing.T, c *fencelock.Client, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Microsecond)
	defer cancel()
	lease, err := c.Lock(ctx, key)
	if err == nil { // it was quicker
		err = lease.Unlock(t.Context())
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock: %v", err)
	}
}
