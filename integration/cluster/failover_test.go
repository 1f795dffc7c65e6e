package cluster_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// failover puts a replica in its master's place.
type failover struct {
	name  string
	loses bool // what the replica has not heard yet
	begin func(t *testing.T, w *world, old, next *servers.RedisNode) (over func())
}

// failovers are all ways. A master that is cut off still answers clients, and so does one whose place is taken by another that
// asks nobody.
var failovers = []failover{
	{"Killed", true, func(t *testing.T, _ *world, old, _ *servers.RedisNode) func() {
		old.Kill(t)
		return func() { old.Restart(t) }
	}},
	{"Paused", true, func(t *testing.T, _ *world, old, _ *servers.RedisNode) func() {
		old.Pause(t)
		return func() { old.Unpause(t) }
	}},
	{"CutOff", true, func(t *testing.T, w *world, old, _ *servers.RedisNode) func() {
		w.Cut(t, old.Server)
		return func() { w.Heal(t, old.Server) }
	}},
	{"Agreed", false, promoted()},
	{"Forced", true, promoted("FORCE")},
	{"Taken", true, promoted("TAKEOVER")},
	{"Busy", true, busyScript},
}

// promoted has the replica take the place by an order to it.
func promoted(word ...any) func(*testing.T, *world, *servers.RedisNode, *servers.RedisNode) func() {
	return func(t *testing.T, w *world, _, next *servers.RedisNode) func() {
		t.Helper()
		w.do(t, next, append([]any{"CLUSTER", "FAILOVER"}, word...)...)
		return func() {}
	}
}

// busyScript keeps the master from answering, also the other nodes, until it is in nobody's way any more.
func busyScript(t *testing.T, w *world, old, _ *servers.RedisNode) (over func()) {
	var running sync.WaitGroup
	running.Go(func() {
		_ = w.plain[old].Conn().Eval(t.Context(), `
			local began = redis.call('TIME')[1]
			while redis.call('TIME')[1] - began < 6 do end`, nil).Err()
	})
	return running.Wait
}

// TestFailover: whatever makes another the master, while locks are held, waited for and handed off.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, f := range failovers {
		t.Run(f.name, func(t *testing.T) { testFailover(t, f) })
	}
}

func testFailover(t *testing.T, f failover) {
	w := startWorld(t)
	old := &w.Nodes[0]
	next := w.ReplicasOf(t, old)[0]
	tag := w.keyAt(t, 0, "tag")

	// Held and waited for: the new master knows it. The waiter asks by itself each 20 minutes.
	keeper, heir := w.open(t, time.Minute), w.open(t, time.Hour)
	kept := locktest.Lock(t, keeper, w.keyAt(t, 0, "kept"))
	inherited := locktest.StartLock(t.Context(), heir, kept.Key())
	locktest.AwaitWaiters(t, locktest.Soon, keeper, kept.Key(), 1)
	w.replicate(t, old, tag)
	// Held and waited for: the new master has never heard of it.
	loser, finder := w.open(t, time.Minute), w.open(t, time.Minute)
	if f.loses {
		w.freeze(t, next)
	}
	gone := locktest.Lock(t, loser, w.keyAt(t, 0, "gone"))
	found := locktest.StartLock(t.Context(), finder, gone.Key())
	locktest.AwaitWaiters(t, locktest.Soon, loser, gone.Key(), 1)
	// Handed to and fro.
	turns := startTurns(t, w.keyAt(t, 0, "turns"), true, w.open(t, 30*time.Second), w.open(t, 30*time.Second))
	// At another master: pushes to these come by the one that there will be.
	probes := w.startProbes(t, 6)

	bare := w.startBare(t, tag, next)
	began := time.Now()
	over := sync.OnceFunc(f.begin(t, w, old, next))
	t.Cleanup(over)
	at := bare.await(t) // nobody can be served sooner
	t.Logf("the new master serves after %v", at.Sub(began).Round(time.Millisecond))
	after := func(what string, within time.Duration) {
		t.Helper()
		took := time.Since(at)
		t.Logf("%s %v after that", what, took.Round(time.Millisecond))
		if took > within+locktest.Slack {
			t.Errorf("%s after %v, want it within %v", what, took, within)
		}
	}

	var all sync.WaitGroup
	all.Go(func() {
		probes.push(t, next)
		after("a push comes to everybody", 300*time.Millisecond)
	})
	all.Go(func() {
		turns.next(at)
		after("one of those that take turns has the lock", 300*time.Millisecond)
	})
	if f.loses {
		all.Go(func() {
			<-gone.Done()
			after("the holder is told", time.Second)
		})
	}
	all.Wait()
	if f.loses {
		if err := gone.Err(); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("the lease that the new master does not know: %v", err)
		}
	} else {
		locktest.Unlock(t, gone)
	}
	winner := locktest.ExpectLock(t, found, locktest.Soon)
	if winner.Token() <= gone.Token() {
		t.Errorf("token %v after %v", winner.Token(), gone.Token())
	}
	locktest.Unlock(t, winner)

	if err := kept.Ensure(t.Context(), 50*time.Second); err != nil {
		t.Errorf("the lease that the new master knows: %v", err)
	}
	unlocked := time.Now()
	locktest.Unlock(t, kept)
	heirs := locktest.Outcome(t, inherited, locktest.Soon)
	t.Logf("pushed %v after Unlock", heirs.At.Sub(unlocked).Round(time.Millisecond))
	if heirs.Err != nil {
		t.Fatalf("the waiter: %v", heirs.Err)
	}
	if heirs.Lease.Token() <= kept.Token() {
		t.Errorf("token %v after %v", heirs.Lease.Token(), kept.Token())
	}
	locktest.Unlock(t, heirs.Lease)

	over() // the old one is back, and takes writes until it is told
	time.Sleep(time.Second)
	turns.end(t)
	probes.clear(t)
	w.AwaitWhole(t)
	if got := w.Master(t, w.slot(t, tag)); got != next {
		t.Errorf("the master is %s, and was %s", got.Peer, next.Peer)
	}
	w.expectNothingLeft(t)
}

// probes are clients that hold a lock each, at a master to which nothing happens. They hear of it at once when
// somebody says on their channel that the lock was evicted.
type probes struct {
	w      *world
	leases []*fencelock.Lease
	said   []string // "channel attempt" of each
}

func (w *world) startProbes(t *testing.T, n int) *probes {
	t.Helper()
	p := &probes{w: w}
	for i := range n {
		key := w.keyAt(t, 1, "probe"+string(rune('a'+i)))
		p.leases = append(p.leases, locktest.Lock(t, w.open(t, time.Minute), key))
		record, _ := w.do(t, &w.Nodes[1], "HGET", w.lockKey(key), "l").(string)
		words := strings.Fields(record) // the end of the lease, the attempt, the channel, …
		if len(words) < 5 {
			t.Fatalf("the record of a lock is %q", record)
		}
		p.said = append(p.said, words[2]+" "+words[1])
	}
	return p
}

// push says so at a node, again and again, until all have heard it.
func (p *probes) push(t *testing.T, at *servers.RedisNode) {
	locktest.Within(locktest.Soon, func() (all bool) {
		all = true
		for i, l := range p.leases {
			if l.Err() != nil {
				continue
			}
			all = false
			channel, attempt, _ := strings.Cut(p.said[i], " ")
			if err := p.w.plain[at].Publish(t.Context(), channel, "evicted "+attempt).Err(); err != nil {
				t.Errorf("PUBLISH: %v", err)
			}
		}
		return all
	})
	for _, l := range p.leases {
		if err := l.Err(); !errors.Is(err, driver.ErrEvicted) {
			t.Errorf("a client that was told of an eviction: %v", err)
		}
	}
}

// clear deletes the locks, which were not evicted.
func (p *probes) clear(t *testing.T) {
	for _, l := range p.leases {
		p.w.do(t, &p.w.Nodes[1], "DEL", p.w.lockKey(l.Key()))
	}
}
