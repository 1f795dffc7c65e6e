package redlock_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/internal/busy"
)

// TestContention has clients fight for a few locks while the network and the nodes, a minority
// at a time, fail at random, and holders sleep through their leases. Afterwards the history must be
// right; see locktest.History. Nodes lose nothing here, so that no two hold a lock, either.
func TestContention(t *testing.T) {
	t.Parallel()
	const (
		clients, workers = 6, 3
		atLeast, atMost  = 8 * time.Second, 50 * time.Second
	)
	ttl := 1200 * time.Millisecond * busy.Times()
	keys := []string{"a", "b"}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	w, h := ownEnv(t, 3), locktest.NewHistory(keys...)
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	began := time.Now()
	var running sync.WaitGroup
	parties := w.proxiedClients(t, clients, ttl)
	for i, p := range parties {
		for j := range workers {
			rnd := rand.New(rand.NewPCG(seed, uint64(1+i*workers+j)))
			running.Go(func() {
				for ctx.Err() == nil {
					h.Turn(ctx, t, p.Client, keys[rnd.IntN(len(keys))], rnd,
						func() { p.links.each((*proxy.Proxy).Blackhole) }, func() { p.links.each((*proxy.Proxy).Heal) })
				}
			})
		}
	}
	enough := func(faults map[string]int) bool {
		grants, lost, refused := h.Counts()
		return grants >= 60 && lost >= 3 && refused >= 1 && faults["restarts"] >= 3 && faults["pauses"] >= 1 &&
			faults["resets"] >= 3 && faults["lost messages"] >= 3 && faults["partitions"] >= 1
	}
	faults := w.misbehave(ctx, t, rand.New(rand.NewPCG(seed, 0)), parties, func(faults map[string]int) bool {
		return time.Since(began) > atLeast && enough(faults)
	})
	cancel()
	running.Wait()
	for _, p := range parties {
		p.links.each((*proxy.Proxy).Heal)
	}

	h.Check(t)
	grants, lost, refused := h.Counts()
	t.Logf("%d grants, %d of them lost, %d late writes refused; faults %v", grants, lost, refused, faults)
	if !enough(faults) {
		t.Error("too little has happened: this run shows nothing")
	}
	// Whatever the last of them left, others can go on, and then nothing is left.
	c := w.proxied(t, longTTL)
	for _, k := range keys {
		locktest.Unlock(t, locktest.ExpectLock(t, locktest.StartLock(t.Context(), c, k), ttl+2*locktest.Soon))
	}
	w.expectNothingLeft(t)
}

// misbehave does random things to the nodes, one at a time, and the ways to them until it is enough,
// or ctx ends, and returns what has happened how often. The nodes run in the end; what is wrong
// with the ways is for Heal.
func (w *env) misbehave(ctx context.Context, t *testing.T, rnd *rand.Rand, parties []*proxiedClient, enough func(map[string]int) bool) map[string]int {
	t.Helper()
	count := make(map[string]int)
	var armed []*proxy.Fault
	wait := func(most int) {
		select {
		case <-time.After(time.Duration(rnd.IntN(most)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	for n := 1; ctx.Err() == nil && !enough(count); n++ {
		i := rnd.IntN(len(w.masters))
		s, p := w.masters[i], parties[rnd.IntN(len(parties))].links[i]
		switch what := rnd.IntN(10); {
		case n%25 == 10: // for certain, and not too often
			s.Kill(t)
			wait(500)
			s.Restart(t)
			count["restarts"]++
		case n%25 == 20:
			s.Pause(t)
			wait(2000)
			s.Unpause(t)
			count["pauses"]++
		case what < 3:
			p.Reset()
			count["resets"]++
		case what < 6:
			armed = append(armed, p.LoseReplyTo(scripts, 1+rnd.IntN(3)))
		case what < 7:
			armed = append(armed, p.LoseRequest(scripts, 1+rnd.IntN(3)))
		case what < 8:
			armed = append(armed, p.SwallowPush(nil, 1))
		case what < 9:
			p.Delay(proxy.Both, time.Duration(rnd.IntN(10))*time.Millisecond)
		default:
			p.Drop([]proxy.Direction{proxy.ToServer, proxy.ToClient, proxy.Both}[rnd.IntN(3)])
			wait(1200)
			p.Heal()
			count["partitions"]++
		}
		wait(60)
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
