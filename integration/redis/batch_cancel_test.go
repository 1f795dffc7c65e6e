package redis_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var cancelSeed = flag.Uint64("cancel.seed", uint64(time.Now().UnixNano())%1e9, "TestBatchCancel: repeats a run") //nolint:gosec // not negative

// TestBatchCancel: many callers of one client, whose contexts end before, while and after their requests go with
// others'. No two hold a lock, and in the end nothing is left.
func TestBatchCancel(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	p := through(t, s.Addr())
	c := open(t, p.Addr(), ns, time.Minute)
	p.Delay(proxy.Both, time.Millisecond)
	var several, all, granted, ended atomic.Int64
	locktest.Tally(p, func(request []byte) bool {
		if n := int64(locksOf(request)); n > 0 {
			all.Add(n)
			if n > 1 {
				several.Add(n)
			}
		}
		return false
	})
	t.Logf("repeat with -cancel.seed %d", *cancelSeed)
	const callers, rounds, keys = 48, 40, 24
	var holders [keys]atomic.Int32
	var last [keys]atomic.Uint64
	var running sync.WaitGroup
	for i := range callers {
		r := rand.New(rand.NewPCG(*cancelSeed, uint64(i))) //nolint:gosec // to be repeated
		running.Go(func() {
			for range rounds {
				k := r.IntN(keys)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(12_000))*time.Microsecond)
				if r.IntN(3) == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), 4*locktest.Soon)
				}
				lock := fencelock.Locker.Lock
				if r.IntN(2) == 0 {
					lock = fencelock.Locker.TryLock
				}
				l, err := lock(c, ctx, fmt.Sprint("k", k))
				if err != nil {
					ended.Add(1)
					cancel()
					continue
				}
				granted.Add(1)
				if n := holders[k].Add(1); n > 1 {
					t.Errorf("%d hold k%d", n, k)
				}
				if was, token := last[k].Load(), uint64(l.Token()); token <= was {
					t.Errorf("token %d after %d", token, was)
				} else {
					last[k].Store(token)
				}
				time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
				if err := l.Err(); err != nil {
					t.Errorf("a holder lost its lock: %v", err)
				}
				holders[k].Add(-1)
				if err := l.Unlock(t.Context()); err != nil {
					t.Errorf("Unlock: %v", err)
				}
				cancel()
			}
		})
	}
	running.Wait()
	t.Logf("%d granted, %d ended without; of %d locks in requests %d went with others", granted.Load(), ended.Load(), all.Load(), several.Load())
	if several.Load()*4 < all.Load() || granted.Load() < rounds || ended.Load() < rounds {
		t.Error("this proves little")
	}
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}
