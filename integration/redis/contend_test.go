package redis_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
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
	h := &history{counters: make(map[string]*counter)}
	for _, k := range keys {
		h.counters[k] = &counter{key: k}
	}
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
					h.turn(ctx, t, c, keys[rnd.IntN(len(keys))], rnd, p)
				}
			})
		}
	}
	faults := misbehave(ctx, t, rand.New(rand.NewPCG(seed, 0)), s, links, func(faults map[string]int) bool {
		return time.Since(began) > atLeast && h.enough(faults)
	})
	cancel()
	running.Wait()
	for _, p := range links {
		p.Heal()
	}

	h.check(t)
	t.Logf("%d grants, %d of them lost, %d late writes refused; faults %v", len(h.terms), h.lost, h.refused, faults)
	if !h.enough(faults) {
		t.Error("too little has happened: this run shows nothing")
	}
	// Whatever the last of them left, others can go on, and then nothing is left.
	c := open(t, s.Addr(), ns, time.Minute)
	for _, k := range keys {
		locktest.Unlock(t, locktest.Lock(t, c, k))
	}
	expectNothingLeft(t, admin, ns)
}

// term is a lease as its holder saw it, on the one clock that all share here.
type term struct {
	token      fencing.Token
	key        string
	asked, got time.Time // when Lock was called and returned
	until      time.Time // when the holder stopped trusting it
}

type history struct {
	counters map[string]*counter // not changed after the start

	mu            sync.Mutex
	terms         []term
	lost, refused int
}

// counter is a resource that checks tokens. Its value is read and written in two
// steps, so that two holders at a time would lose an increment.
type counter struct {
	key   string
	gate  fencing.Gate // and its Do guards the rest
	value int
	taken int // increments that were let through
}

func (c *counter) read(t fencing.Token) (v int, err error) {
	err = c.gate.Do(c.key, t, func() error { v = c.value; return nil })
	return v, err
}

func (c *counter) write(t fencing.Token, v int) error {
	return c.gate.Do(c.key, t, func() error { c.value, c.taken = v, c.taken+1; return nil })
}

// turn locks a key, increments its counter, and unlocks. Now and then the holder
// is cut off, sleeps through its lease, and writes when another has been there.
func (h *history) turn(ctx context.Context, t *testing.T, c *fencelock.Client, key string, rnd *rand.Rand, link *proxy.Proxy) {
	asked := time.Now()
	l, err := c.Lock(ctx, key)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("Lock: %v", err)
		}
		return
	}
	now := term{token: l.Token(), key: key, asked: asked, got: time.Now()}
	store := h.counters[key]
	v, err := store.read(l.Token())
	if err == nil {
		if rnd.IntN(30) == 0 {
			link.Blackhole()
			<-l.Done()
			locktest.Within(time.Second, func() bool { return store.gate.Highest(key) != l.Token() })
			link.Heal()
		} else {
			time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
		}
		err = store.write(l.Token(), v+1)
	}
	refused := errors.Is(err, fencing.ErrStale)
	if err != nil && !refused {
		t.Errorf("the counter: %v", err)
	}
	now.until = time.Now()
	if l.Err() != nil { // it ended before
		now.until = minTime(now.until, l.ValidUntil())
	}
	err = l.Unlock(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.terms = append(h.terms, now)
	if errors.Is(err, fencelock.ErrLost) {
		h.lost++
	}
	if refused {
		h.refused++
	}
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// enough tells whether so much has happened that the history shows something.
func (h *history) enough(faults map[string]int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.terms) >= 60 && h.lost >= 3 && h.refused >= 1 &&
		faults["restarts"] >= 1 && faults["resets"] >= 3 && faults["lost messages"] >= 3 && faults["partitions"] >= 1
}

// check reads the history.
func (h *history) check(t *testing.T) {
	t.Helper()
	byKey := make(map[string][]term)
	for _, x := range h.terms {
		byKey[x.key] = append(byKey[x.key], x)
	}
	for key, terms := range byKey {
		slices.SortFunc(terms, func(a, b term) int { return cmp.Compare(a.token, b.token) })
		for i, x := range terms {
			for _, before := range terms[max(0, i-50):i] {
				switch {
				case x.token == before.token:
					t.Errorf("%s: token %v was granted twice", key, x.token)
				case before.asked.After(x.got):
					t.Errorf("%s: token %v was asked for %v after the greater %v was held", key, before.token, before.asked.Sub(x.got), x.token)
				case before.until.After(x.got):
					t.Errorf("%s: token %v was trusted for %v after %v was held", key, before.token, before.until.Sub(x.got), x.token)
				}
			}
		}
	}
	for key, c := range h.counters {
		if c.value != c.taken {
			t.Errorf("%s: %d increments were let through, and the value is %d", key, c.taken, c.value)
		}
	}
}
