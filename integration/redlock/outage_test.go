package redlock_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// stroke is something that happens to some nodes, or to everybody's ways to them, and its end.
type stroke struct {
	name       string
	kills      bool // it is the masters that it happens to
	begin, end func(t *testing.T, s *servers.Server, ways links)
}

var strokes = []stroke{
	{
		"killed", true,
		func(t *testing.T, s *servers.Server, _ links) { s.Kill(t) },
		func(t *testing.T, s *servers.Server, _ links) { s.Restart(t) },
	},
	{
		"paused", true,
		func(t *testing.T, s *servers.Server, _ links) { s.Pause(t) },
		func(t *testing.T, s *servers.Server, _ links) { s.Unpause(t) },
	},
	{"cut off", false, func(_ *testing.T, _ *servers.Server, l links) { l.each((*proxy.Proxy).Blackhole) }, heal},
	{"deaf", false, drop(proxy.ToServer), heal},
	{"mute", false, drop(proxy.ToClient), heal},
	{"slow", false, func(_ *testing.T, _ *servers.Server, l links) {
		l.each(func(p *proxy.Proxy) { p.Delay(proxy.Both, 300*time.Millisecond) })
	}, heal},
	{"gone", false, func(_ *testing.T, _ *servers.Server, l links) {
		l.each((*proxy.Proxy).Refuse)
		l.each((*proxy.Proxy).Reset)
	}, heal},
}

func heal(_ *testing.T, _ *servers.Server, l links) { l.each((*proxy.Proxy).Heal) }

func drop(dir proxy.Direction) func(*testing.T, *servers.Server, links) {
	return func(_ *testing.T, _ *servers.Server, l links) { l.each(func(p *proxy.Proxy) { p.Drop(dir) }) }
}

// strike lets it happen to some nodes. What it returns ends it, as does the test's end.
func (s stroke) strike(t *testing.T, w *env, clients []*proxiedClient, victims []int) (over func()) {
	t.Helper()
	each := func(do func(*testing.T, *servers.Server, links)) {
		for _, i := range victims {
			var ways links
			for _, c := range clients {
				ways = append(ways, c.links[i])
			}
			do(t, w.masters[i], ways)
		}
	}
	over = sync.OnceFunc(func() { each(s.end) })
	t.Cleanup(over)
	each(s.begin)
	return over
}

// TestMinority: whatever happens to a minority of the nodes, those at which the waiters stand
// among them, nobody notices: holders hold, others are told so, waiters get the lock, new locks
// are granted, tokens rise. Afterwards the nodes have the locks that were taken meanwhile.
func TestMinority(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 5} {
		for _, s := range strokes {
			t.Run(fmt.Sprintf("%s, of %d", s.name, n), func(t *testing.T) {
				t.Parallel()
				w := sharedEnv
				if s.kills {
					w = ownEnv
				}
				s.test(t, w(t, n))
			})
		}
	}
}

func (s stroke) test(t *testing.T, w *env) {
	clients := w.proxiedClients(t, 3, shortTTL)
	holder, waiter, other := clients[0], clients[1], clients[2]
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	w.awaitEverywhere(t, shortTTL+2*locktest.Soon, held) // a waiter may come to a node before the holder does
	survivors := locktest.Survivors{
		Held: held, TTL: shortTTL, Other: other.Client, Book: &book,
		Waiting: locktest.StartLock(t.Context(), waiter, "k"),
	}
	stop := keepTurning(t, &book, "turns", holder, waiter, other)
	victims := w.minority(t, "k")

	over := s.strike(t, w, clients, victims)
	survivors.HandOff(t, time.Now())
	meanwhile := locktest.Lock(t, other, "taken meanwhile")
	book.Record(t, meanwhile)
	turns := stop()
	if turns == 0 {
		t.Error("nobody has had a turn meanwhile")
	}
	over()

	w.awaitEverywhere(t, 2*locktest.Soon+shortTTL, meanwhile)
	for range 3 {
		book.TakeTurns(t, locktest.Soon, "k", holder.Client, waiter.Client, other.Client)
	}
	locktest.Unlock(t, meanwhile)
	w.expectNothingLeft(t, shortTTL) // where a client did not reach a master in time, it ends so
	for i, c := range clients {
		expectOutagesTold(t, fmt.Sprintf("client %d", i), c, victims)
	}
}

// TestFreshLocksOutliveANode: locks that nobody has renewed yet are on all nodes, and not on the
// majority that was quickest: each outlives the loss of any node.
func TestFreshLocksOutliveANode(t *testing.T) {
	t.Parallel()
	const locks = 50
	for gone := range 3 {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			t.Parallel()
			w := sharedEnv(t, 3)
			c := w.proxied(t, longTTL)
			// A node may be let in a moment after Open. It gets a lock that was taken before with its next renewal.
			locktest.Eventually(t, 2*locktest.Soon, "all nodes take part", func() bool {
				l := locktest.Lock(t, c, "first")
				defer locktest.Unlock(t, l)
				return locktest.Within(locktest.Soon/50, func() bool { return w.holding("first") == len(w.masters) })
			})
			var held []*fencelock.Lease
			for i := range locks {
				held = append(held, locktest.Lock(t, c, fmt.Sprint(i)))
			}
			for _, l := range held {
				w.awaitEverywhere(t, locktest.Soon, l)
			}
			c.links[gone].Blackhole()
			for _, l := range held {
				if err := l.Ensure(t.Context(), longTTL*4/5); err != nil {
					t.Errorf("%q: %v", l.Key(), err)
				}
			}
			c.links[gone].Heal()
			for _, l := range held {
				locktest.Unlock(t, l)
			}
		})
	}
}

// keepTurning has clients take a lock in turn until it is stopped.
func keepTurning(t *testing.T, book *locktest.Ledger, key string, clients ...*proxiedClient) (stop func() (turns int)) {
	t.Helper()
	done := make(chan struct{})
	var turning sync.WaitGroup
	turns := 0
	turning.Go(func() {
		for ; ; turns++ {
			select {
			case <-done:
				return
			default:
			}
			l, err := clients[turns%len(clients)].Lock(t.Context(), key)
			if err == nil {
				book.Record(t, l)
				err = l.Unlock(t.Context())
			}
			if err != nil {
				t.Errorf("%s, turn %d: %v", key, turns, err)
				return
			}
		}
	})
	return sync.OnceValue(func() int {
		close(done)
		turning.Wait()
		return turns
	})
}

const lostLine, backLine = "the server cannot be reached", "the server can be reached again"

// expectOutagesTold wants the log to have a line at most for the loss of each of the nodes, and
// one for its return, and none about others.
func expectOutagesTold(t *testing.T, who string, c *proxiedClient, victims []int) {
	t.Helper()
	for i, p := range c.links {
		var lost, back int
		for line := range strings.Lines(c.log.String()) {
			if strings.Contains(line, p.Addr()) {
				lost += strings.Count(line, lostLine)
				back += strings.Count(line, backLine)
			}
		}
		most := 0
		for _, v := range victims {
			if v == i {
				most = 1
			}
		}
		if lost > most || back > most {
			t.Errorf("%s: %d lines about the loss of %s and %d about its return; want %d at most", who, lost, p.Addr(), back, most)
		}
	}
}

// TestMajority: with a majority cut off nothing is granted, and every error says which node is
// missing; the holder is told of its loss in time. Who has patience gets the lock afterwards.
func TestMajority(t *testing.T) {
	t.Parallel()
	for _, s := range strokes {
		if s.name == "slow" {
			continue // is no outage
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := sharedEnv
			if s.kills {
				w = ownEnv
			}
			s.testMajority(t, w(t, 3))
		})
	}
}

func (s stroke) testMajority(t *testing.T, w *env) {
	holder, waiter, other := w.proxied(t, shortTTL), w.proxied(t, longTTL), w.proxied(t, shortTTL)
	clients := []*proxiedClient{holder, waiter, other}
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	waiting := locktest.StartLock(t.Context(), waiter, "k")
	locktest.AwaitWaiters(t, locktest.Soon, other.Client, "k", 1)

	over := s.strike(t, w, clients, []int{1, 2})
	began := time.Now()
	locktest.ExpectLost(t, held, shortTTL+locktest.Slack)
	t.Logf("told of the loss after %v of %v", time.Since(began).Round(time.Millisecond), shortTTL)
	for _, key := range []string{"k", "free"} {
		l, err := other.TryLock(t.Context(), key)
		expectNoQuorum(t, l, err, other.links.addrs()[1:]...)
	}
	select {
	case a := <-waiting:
		t.Fatalf("the waiter has %v, %v without a majority", a.Lease, a.Err)
	default:
	}
	over()
	back := time.Now()
	next := locktest.ExpectLock(t, waiting, 4*locktest.Soon)
	t.Logf("the waiter has the lock %v after the masters are back", time.Since(back).Round(time.Millisecond))
	book.Record(t, next)
	locktest.Unlock(t, next)
	book.TakeTurns(t, 2*locktest.Soon, "k", holder.Client, waiter.Client, other.Client)
}
