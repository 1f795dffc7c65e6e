package redis_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestContention has clients fight for a few locks while the network and the
// server fail at random. Each holder increments a counter that checks its token,
// in two steps that another holder could come between. Afterwards the history must
// show: tokens unique, and ordered like the grants in real time; no two leases of
// a key valid at the same time; every increment kept that the counter took.
func TestContention(t *testing.T) {
	t.Parallel()
	const (
		clients, workers = 8, 3 // workers of each client
		atLeast, atMost  = 5 * time.Second, 30 * time.Second
		ttl              = 900 * time.Millisecond
	)
	keys := []string{"a", "b"}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	s, ns := servers.Start(t, servers.Redis, keeping()), locktest.Namespace()
	admin := raw(t, s.Addr())
	h := locktest.NewHistory(keys...)
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	began := time.Now()
	var running sync.WaitGroup
	var links []*proxy.Proxy
	for i := range clients {
		p := through(t, s.Addr())
		links = append(links, p)
		c := open(t, p.Addr(), ns, ttl)
		for j := range workers {
			rnd := rand.New(rand.NewPCG(seed, uint64(1+i*workers+j)))
			running.Go(func() {
				for ctx.Err() == nil {
					h.Turn(ctx, t, c, keys[rnd.IntN(len(keys))], rnd, p.Blackhole, p.Heal)
				}
			})
		}
	}
	faults := misbehave(ctx, t, rand.New(rand.NewPCG(seed, 0)), s, links, func(faults map[string]int) bool {
		return time.Since(began) > atLeast && enough(h, faults)
	})
	cancel()
	running.Wait()
	for _, p := range links {
		p.Heal()
	}

	h.Check(t)
	grants, lost, refused := h.Counts()
	t.Logf("%d grants, %d of them lost, %d late writes refused; faults %v", grants, lost, refused, faults)
	if !enough(h, faults) {
		t.Error("too little has happened: this run shows nothing")
	}
	// Whatever the last of them left, others can go on, and then nothing is left.
	c := open(t, s.Addr(), ns, time.Minute)
	for _, k := range keys {
		locktest.Unlock(t, locktest.Lock(t, c, k))
	}
	expectNothingLeft(t, admin, ns)
}

// enough tells whether so much has happened that the history shows something.
func enough(h *locktest.History, faults map[string]int) bool {
	grants, lost, refused := h.Counts()
	return grants >= 60 && lost >= 3 && refused >= 1 &&
		faults["restarts"] >= 1 && faults["resets"] >= 3 && faults["lost messages"] >= 3 && faults["partitions"] >= 1
}

// misbehave does random things to a server and the ways to it until it is enough,
// or ctx ends, and returns what has happened how often. The server runs in the end;
// what is wrong with the ways is for Heal.
func misbehave(ctx context.Context, t *testing.T, rnd *rand.Rand, s *servers.Server, links []*proxy.Proxy, enough func(map[string]int) bool) map[string]int {
	t.Helper()
	count := make(map[string]int)
	var armed []*proxy.Fault
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	for n := 1; ctx.Err() == nil && !enough(count); n++ {
		p := links[rnd.IntN(len(links))]
		switch what := rnd.IntN(10); {
		case n%40 == 20: // for certain, and not too often
			s.Kill(t)
			wait(time.Duration(rnd.IntN(300)) * time.Millisecond)
			s.Restart(t)
			count["restarts"]++
		case what < 3:
			p.Reset()
			count["resets"]++
		case what < 6:
			armed = append(armed, p.LoseReply(1+rnd.IntN(5)))
		case what < 7:
			armed = append(armed, p.LoseRequest(scripts, 1+rnd.IntN(5)))
		case what < 8:
			armed = append(armed, p.SwallowPush(nil, 1))
		case what < 9:
			p.Delay(proxy.Both, time.Duration(rnd.IntN(10))*time.Millisecond)
		default:
			p.Drop([]proxy.Direction{proxy.ToServer, proxy.ToClient, proxy.Both}[rnd.IntN(3)])
			wait(time.Duration(200+rnd.IntN(1000)) * time.Millisecond)
			p.Heal()
			count["partitions"]++
		}
		wait(time.Duration(rnd.IntN(60)) * time.Millisecond)
		armed = slices.DeleteFunc(armed, func(f *proxy.Fault) bool {
			select {
			case <-f.Fired():
				count["lost messages"]++
				return true
			default:
				return false
			}
		})
	}
	return count
}
