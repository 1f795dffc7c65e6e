package cluster_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// turns are clients that hand a lock to each other.
type turns struct {
	book   locktest.Ledger
	cancel context.CancelFunc
	taking sync.WaitGroup

	mu      sync.Mutex
	last    time.Time // of a grant
	longest time.Duration
	grants  int
	changed chan struct{} // closed at the next grant
}

// startTurns begins. lossy says that grants may be lost, as by a fail-over; tokens may not fall even so.
func startTurns(t *testing.T, key string, lossy bool, clients ...*fencelock.Client) *turns {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &turns{cancel: cancel, last: time.Now(), changed: make(chan struct{}), book: locktest.Ledger{TokensOnly: lossy}}
	for _, c := range clients {
		s.taking.Go(func() {
			for ctx.Err() == nil {
				l, err := c.Lock(ctx, key)
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("Lock: %v", err)
					}
					return
				}
				s.granted(t, l)
				time.Sleep(time.Millisecond)
				if err := l.Unlock(t.Context()); err != nil && !lossy {
					t.Errorf("Unlock: %v", err)
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); s.taking.Wait() })
	return s
}

func (s *turns) granted(t *testing.T, l *fencelock.Lease) {
	s.book.Record(t, l)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.longest = max(s.longest, now.Sub(s.last))
	s.last = now
	s.grants++
	close(s.changed)
	s.changed = make(chan struct{})
}

// next returns when there has been a grant since then.
func (s *turns) next(since time.Time) {
	for {
		s.mu.Lock()
		last, changed := s.last, s.changed
		s.mu.Unlock()
		if last.After(since) {
			return
		}
		select {
		case <-changed:
		case <-time.After(locktest.Soon):
			return
		}
	}
}

// reset returns the longest time without a grant until now, and begins to measure again.
func (s *turns) reset() (longest time.Duration, grants int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	longest, grants = max(s.longest, time.Since(s.last)), s.grants
	s.longest, s.grants, s.last = 0, 0, time.Now()
	return longest, grants
}

func (s *turns) end(t *testing.T) (longest time.Duration) {
	t.Helper()
	s.cancel()
	s.taking.Wait()
	t.Logf("the longest time without a grant: %v", s.longest.Round(time.Millisecond))
	return s.longest
}
