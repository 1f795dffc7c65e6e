package recipe_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

func lockOnce(t testing.TB, b driver.Backend, attemptID string) driver.Grant {
	t.Helper()
	g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: attemptID, TTL: 10 * time.Second, Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A lock that nobody else wants costs a Take and an End on each node. If the counters disagree, and the
// client does not know it yet, it costs a write-back on those that are behind besides, once.
func TestRequestsAlone(t *testing.T) {
	for _, n := range []int{3, 5, 7} {
		synctest.Test(t, func(t *testing.T) {
			w := newEnv(t, n)
			for i := range n {
				w.at(i, func(m *model.Node) { m.Raise(script.Shard("k"), 100) })
			}
			c := w.client()
			defer c.Close()
			round := func(attemptID string) {
				if err := c.Release(t.Context(), lockOnce(t, c, attemptID)); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			for i := range 10 {
				round(strconv.Itoa(i))
			}
			if sent := w.took(); sent["Take"] != 10*n || sent["End"] != 10*n || sent["WriteBack"] != 0 {
				t.Errorf("%d nodes, 10 locks: sent %v", n, sent)
			}
			for i := range n { // another client's tries have met others
				w.at(i, func(m *model.Node) { m.Raise(script.Shard("k"), uint64(200+i)) })
			}
			round("a")
			if sent := w.took(); sent["WriteBack"] < n/2 || sent["WriteBack"] > n-1 {
				t.Errorf("%d nodes that disagree: sent %v", n, sent)
			}
			round("b")
			round("c")
			if sent := w.took(); sent["WriteBack"] != 0 {
				t.Errorf("%d nodes that have disagreed: sent %v", n, sent)
			}
		})
	}
}

// contest is what many clients that want one lock have done.
type contest struct {
	locks, requests, changes int
	waits                    []time.Duration // sorted
	most, fewest             int             // turns of a client
	row                      int             // the most in a row
}

// compete has clients take a lock in turn for a while.
func compete(t *testing.T, clients int, d time.Duration) (r contest) {
	w := newEnv(t, 3)
	w.quick = 200 * time.Microsecond
	w.trip = func() time.Duration { return 200 * time.Microsecond }
	turns := make([]int, clients)
	var mu sync.Mutex
	var wg sync.WaitGroup
	row, last, token, end := 0, -1, fencing.Token(0), time.Now().Add(d)
	for i := range clients {
		c := w.client()
		defer c.Close()
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				began := time.Now()
				g := lockOnce(t, c, strconv.Itoa(i)+"-"+strconv.Itoa(n))
				mu.Lock()
				r.locks++
				r.waits = append(r.waits, time.Since(began))
				turns[i]++
				if row++; last != i {
					r.changes++
					row = 1
				}
				r.row = max(r.row, row)
				if g.Token <= token {
					t.Errorf("token %v after %v", g.Token, token)
				}
				last, token = i, g.Token
				mu.Unlock()
				if err := c.Release(t.Context(), g); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.mu.Lock()
	for _, n := range w.sent {
		r.requests += n
	}
	w.mu.Unlock()
	slices.Sort(r.waits)
	r.most, r.fewest = slices.Max(turns), slices.Min(turns)
	return r
}

func (r contest) perLock() float64 { return float64(r.requests) / float64(r.locks) }

func (r contest) wait(share float64) time.Duration {
	return r.waits[int(share*float64(len(r.waits)-1))].Round(10 * time.Microsecond)
}

// However many want a lock, a release wakes one of them, and nobody starves.
func TestContention(t *testing.T) {
	results := map[int]contest{}
	for _, n := range []int{1, 2, 16, 64} {
		synctest.Test(t, func(t *testing.T) { results[n] = compete(t, n, 2*time.Second) })
		r := results[n]
		t.Logf("%2d clients: %d locks, %.1f requests a lock, %d changes of holder, %d in a row at most, waits p50 %v p99 %v most %v, turns %d to %d",
			n, r.locks, r.perLock(), r.changes, r.row, r.wait(0.5), r.wait(0.99), r.wait(1), r.fewest, r.most)
		if n > 1 && r.row > 50 {
			t.Errorf("of %d clients, one had %d turns in a row", n, r.row)
		}
		if r.fewest == 0 || r.most > 3*r.fewest+20 {
			t.Errorf("of %d clients, one had %d turns, and another %d", n, r.fewest, r.most)
		}
	}
	if two, many := results[2].perLock(), results[64].perLock(); many > 2*two {
		t.Errorf("%.1f requests a lock for 2 clients, %.1f for 64", two, many)
	}
}

// A queue whose waiters each want the lock once.
func TestHandOffs(t *testing.T) {
	const clients = 32
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, 3)
		w.quick = 200 * time.Microsecond
		w.trip = func() time.Duration { return 200 * time.Microsecond }
		first := w.client()
		defer first.Close()
		g := lockOnce(t, first, "first")
		var wg sync.WaitGroup
		for i := range clients {
			c := w.client()
			defer c.Close()
			wg.Go(func() {
				if err := c.Release(t.Context(), lockOnce(t, c, strconv.Itoa(i))); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		if err := first.Release(t.Context(), g); err != nil {
			t.Error(err)
		}
		wg.Wait()
		took := time.Since(began) / clients
		t.Logf("%v a hand-off", took)
		if took > 2*time.Millisecond {
			t.Errorf("%v a hand-off: the queue is not told", took)
		}
	})
}

// instant is a node that says yes to all, at once and without an allocation.
type instant struct{ name string }

var doneTake, doneEnd any = wire.TakeReply{Outcome: wire.Done, Count: 7}, wire.Reply{Outcome: wire.Done}

func (i *instant) Name() string { return i.name }
func (i *instant) Fit() error   { return nil }

func (i *instant) Send(_ context.Context, r wire.Request, _ time.Duration, done func(any, error)) {
	switch r.(type) {
	case wire.Take:
		done(doneTake, nil)
	default:
		done(doneEnd, nil)
	}
}

func newInstant(n int) *recipe.Backend {
	nodes := make([]wire.Node, n)
	for i := range nodes {
		nodes[i] = &instant{strconv.Itoa(i)}
	}
	return recipe.New(recipe.Config{Nodes: nodes, Channel: "me", Info: info})
}

// What a lock and its release cost this side of the nodes. It is about a kilobyte and a closure for each
// request; and no goroutine.
func TestAllocations(t *testing.T) {
	b := newInstant(3)
	defer b.Close()
	attempts := make([]string, 3000)
	for i := range attempts {
		attempts[i] = strconv.Itoa(i)
	}
	next := 0
	before := runtime.NumGoroutine()
	allocs := testing.AllocsPerRun(1000, func() {
		g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: attempts[next], TTL: 10 * time.Second, Wait: true})
		if err == nil {
			err = b.Release(t.Context(), g)
		}
		if err != nil {
			t.Error(err)
		}
		next++
	})
	t.Logf("%v allocations", allocs)
	if allocs > 15 {
		t.Errorf("a lock and its release cost %v allocations", allocs)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines are left", n-before)
	}
}

func BenchmarkAlone(b *testing.B) {
	for _, n := range []int{3, 5} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			c := newInstant(n)
			defer c.Close()
			b.ReportAllocs()
			for i := range b.N {
				if err := c.Release(b.Context(), lockOnce(b, c, strconv.Itoa(i))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
