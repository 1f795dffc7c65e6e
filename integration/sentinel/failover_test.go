package sentinel_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// failover makes the Sentinels put another in the master's place.
type failover struct {
	name  string
	lasts bool // the old master goes on to answer clients until they have heard
	begin func(t *testing.T, e *env, old *servers.Server) (over func())
}

// turnsTTL is that of those who hand a lock to and fro. It is longer than a fail-over takes. What is unlocked at a master that
// is none any more, while nobody has told the client, is held for the rest of the TTL at the new one.
const turnsTTL = 8 * time.Second

// failovers are all ways. One that is cut off from all but the clients still answers these, as the one does
// that is told to go.
var failovers = []failover{
	{"Killed", false, func(t *testing.T, _ *env, old *servers.Server) func() {
		old.Kill(t)
		return func() { old.Restart(t) }
	}},
	{"Paused", false, func(t *testing.T, _ *env, old *servers.Server) func() {
		old.Pause(t)
		return func() { old.Unpause(t) }
	}},
	{"CutOff", true, func(t *testing.T, e *env, old *servers.Server) func() {
		e.Cut(t, old)
		return func() { e.Heal(t, old) }
	}},
	{"Asked", true, func(t *testing.T, e *env, _ *servers.Server) func() {
		e.do(t, e.Sentinels.Sentinels[0], "SENTINEL", "FAILOVER", servers.MasterName)
		return func() {}
	}},
	{"Coordinated", true, func(t *testing.T, e *env, _ *servers.Server) func() {
		e.do(t, e.Sentinels.Sentinels[0], "SENTINEL", "FAILOVER", servers.MasterName, "COORDINATED")
		return func() {}
	}},
	{"Busy", false, busyScript},
}

// busyScript keeps the master from answering for as long as it is not killed, which a Sentinel does when the server says that it is
// busy, after five seconds.
func busyScript(t *testing.T, e *env, old *servers.Server) (over func()) {
	c := goredis.NewClient(&goredis.Options{Addr: old.Addr(), MaxRetries: -1, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = c.Close() })
	var running sync.WaitGroup
	running.Go(func() {
		err := c.Eval(t.Context(), `
			local began = redis.call('TIME')[1]
			while redis.call('TIME')[1] - began < 20 do end`, nil).Err()
		if err == nil || !strings.Contains(err.Error(), "SCRIPT KILL") {
			t.Errorf("the script ended by itself, or otherwise: %v", err)
		}
	})
	return running.Wait
}

// TestFailover: whatever makes another the master, while locks are held, waited for and handed off.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, f := range failovers {
		if f.name == "Coordinated" && !coordinates(t) {
			continue // only Valkey 9 knows it, and it is not what this run has
		}
		t.Run(f.name, func(t *testing.T) { testFailover(t, f) })
	}
}

// coordinates reports whether the servers of this run know SENTINEL FAILOVER COORDINATED.
func coordinates(t *testing.T) bool {
	t.Helper()
	k := servers.RedisKind(t)
	if k.String() != servers.Valkey.String() {
		return false
	}
	s := servers.Start(t, k)
	major, _, _ := strings.Cut(s.Version(), ".")
	return len(major) > 1 || major >= "9"
}

func testFailover(t *testing.T, f failover) {
	e := startEnv(t, "")
	old := e.Master(t)

	// Held and waited for: the new master knows it. The waiter asks by itself each 20 minutes.
	keeper, heir := e.open(t, time.Minute), e.open(t, time.Hour)
	kept := locktest.Lock(t, keeper, "kept")
	inherited := locktest.StartLock(t.Context(), heir, "kept")
	locktest.AwaitWaiters(t, locktest.Soon, keeper, "kept", 1)
	// Held and waited for: the new master has never heard of it.
	loser, finder := e.open(t, time.Minute), e.open(t, time.Minute)
	gone := locktest.Lock(t, loser, "gone")
	found := locktest.StartLock(t.Context(), finder, "gone")
	locktest.AwaitWaiters(t, locktest.Soon, loser, "gone", 1)
	e.replicate(t, old)
	e.forget(t, old, "gone")
	// Handed to and fro.
	turns := startTurns(t, e.open(t, turnsTTL), e.open(t, turnsTTL))

	bare := e.startBare(t, old)
	over := sync.OnceFunc(f.begin(t, e, old))
	t.Cleanup(over)
	began := time.Now()
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
	master := e.MasterAfter(t, old)

	const clients = 6
	var all sync.WaitGroup
	all.Go(func() {
		locktest.Within(locktest.Soon, func() bool { return e.listeners(t.Context(), master) == clients })
		after("all listen there", 300*time.Millisecond)
	})
	all.Go(func() {
		<-gone.Done()
		after("the holder is told", time.Second)
	})
	all.Go(func() {
		turns.next(at)
		within := 300 * time.Millisecond
		if f.lasts {
			within += turnsTTL
		}
		after("one of those that take turns has the lock", within)
	})
	all.Wait()
	if err := gone.Err(); !errors.Is(err, fencelock.ErrLost) {
		t.Errorf("the lease that the new master does not know: %v", err)
	}
	next := locktest.ExpectLock(t, found, locktest.Soon)
	if next.Token() <= gone.Token() {
		t.Errorf("token %v after %v", next.Token(), gone.Token())
	}
	locktest.Unlock(t, next)

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
	time.Sleep(2 * time.Second)
	turns.end(t)
	if e.Master(t) != master {
		t.Errorf("the master is %s, and was %s", e.Master(t).Addr(), master.Addr())
	}
	e.expectNothingLeft(t, master)
}

// forget has the replicas lose a lock that the master has, as if it had not been sent to them yet.
func (e *env) forget(t *testing.T, master *servers.Server, key string) {
	t.Helper()
	for _, s := range e.Servers {
		if s == master {
			continue
		}
		e.do(t, s, "CONFIG", "SET", "replica-read-only", "no")
		names, err := e.admin(s).Keys(t.Context(), e.ns+":*:"+key+":l").Result()
		if err != nil || len(names) != 1 {
			t.Fatalf("the lock is in %q, %v", names, err)
		}
		e.do(t, s, "DEL", names[0])
		e.do(t, s, "CONFIG", "SET", "replica-read-only", "yes")
	}
}

// turns are two clients that hand a lock to each other.
type turns struct {
	book   locktest.Ledger
	cancel context.CancelFunc
	taking sync.WaitGroup

	mu      sync.Mutex
	last    time.Time // of a grant
	longest time.Duration
	changed chan struct{} // closed at the next grant
}

func startTurns(t *testing.T, clients ...*fencelock.Client) *turns {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	// A fail-over may lose a grant, but no token.
	s := &turns{cancel: cancel, last: time.Now(), changed: make(chan struct{}), book: locktest.Ledger{TokensOnly: true}}
	for _, c := range clients {
		s.taking.Go(func() {
			for ctx.Err() == nil {
				l, err := c.Lock(ctx, "turns")
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("Lock: %v", err)
					}
					return
				}
				s.granted(t, l)
				time.Sleep(time.Millisecond)
				_ = l.Unlock(t.Context()) // it may be lost, or not be known
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
		case <-time.After(turnsTTL + locktest.Soon):
			return
		}
	}
}

func (s *turns) end(t *testing.T) {
	t.Helper()
	s.cancel()
	s.taking.Wait()
	t.Logf("the longest time without a grant: %v", s.longest.Round(time.Millisecond))
}
