package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// forgetful is a server that renews some leases once, for another TTL, and has no answer otherwise.
type forgetful struct {
	stub

	mu      sync.Mutex
	once    map[string]time.Duration // by key
	renewed map[string]time.Time     // their deadlines then
}

func (f *forgetful) Renew(_ context.Context, grants []driver.Grant) []driver.Renewal {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]driver.Renewal, len(grants))
	for i, g := range grants {
		out[i].Err = driver.ErrUnavailable
		if ttl, renews := f.once[g.Key]; renews {
			delete(f.once, g.Key)
			out[i] = driver.Renewal{Start: time.Now(), TTL: ttl}
			f.renewed[g.Key] = time.Now().Add(ttl - ttl/10)
		}
	}
	return out
}

// One timer watches the deadlines of all leases. Each ends at its own, to the nanosecond, whichever others
// there are, have ended before, or have been renewed, for a longer time or a shorter.
func TestDeadlinesAreKept(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			f := &forgetful{once: make(map[string]time.Duration), renewed: make(map[string]time.Time)}
			c := open(t, f, nil)
			var leases []*fencelock.Lease
			ended := make([]time.Time, 200)
			var all sync.WaitGroup
			for i := range ended {
				key := fmt.Sprint(i)
				if rnd.IntN(4) == 0 {
					f.mu.Lock()
					f.once[key] = time.Duration(1+rnd.IntN(100)) * time.Second
					f.mu.Unlock()
				}
				ttl := time.Duration(100+rnd.IntN(60_000)) * time.Millisecond
				want := time.Now().Add(ttl - ttl/10)
				l := lock(t, c, key, fencelock.WithTTL(ttl))
				leases = append(leases, l)
				all.Go(func() {
					<-l.Done()
					now := time.Now()
					f.mu.Lock()
					defer f.mu.Unlock()
					if at, renewed := f.renewed[key]; renewed {
						want = at
					}
					switch early := want.Sub(now); {
					case l.Err() == nil:
						t.Errorf("seed %d: lease %s is not over, and Done is closed", seed, key)
					case early < 0, early > 0 && errors.Is(l.Err(), fencelock.ErrLost):
						t.Errorf("seed %d: lease %s ended %v before its deadline", seed, key, early)
					}
				})
				time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
				if rnd.IntN(3) == 0 {
					_ = leases[rnd.IntN(len(leases))].Unlock(t.Context()) // it may be lost
				}
			}
			all.Wait()
		})
	}
}
