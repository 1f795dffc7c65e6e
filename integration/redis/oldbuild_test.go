package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/oldbuild"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// Builds before this layout had several keys for each lock, and 128 token counters. A new client
// that opens their namespace puts a word in place of each counter: these tests are about who holds a lock
// then. In doc.go there is a table of what a caller of an old build sees.

const oldTTL = 1500 * time.Millisecond

var besideOldBuild = map[string]func(t *testing.T, program string){
	"old holder": oldHolder, "old holder dies": oldHolderDies, "new holder": newHolder, "new waiter": newWaiter,
	"old waiters": oldWaiters, "old build is kept out": oldBuildIsKeptOut, "Tokens": tokensAboveOldOnes,
	"back and forth": backAndForth, "Exclusion": exclusion, "Exclusion through FLUSHALL": exclusionThroughFlush,
	"Exclusion through a restart without data": exclusionThroughRestart,
}

func TestBesideOldBuild(t *testing.T) {
	t.Parallel()
	for _, state := range []oldbuild.State{oldbuild.Commit, oldbuild.ManyKeys} {
		t.Run(state.String(), func(t *testing.T) {
			t.Parallel()
			program := state.Build(t, "backend/redis", earlierSource)
			for name, test := range besideOldBuild {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, program)
				})
			}
		})
	}
}

// expectHeld wants a lock to be held by another for some time.
func expectHeld(t *testing.T, c *fencelock.Client, key string, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		l, err := c.TryLock(t.Context(), key)
		if err == nil {
			t.Fatalf("TryLock of a lock that is held: token %v", l.Token())
		}
		if !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock = %v, want ErrHeld", err)
		}
	}
}

// oldHolder: what an old build holds when the first new client opens its namespace stays its own,
// with its renewals, until it unlocks.
func oldHolder(t *testing.T, program string) {
	addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
	e := startEarlier(t, program, addr, ns, oldTTL)
	was := e.mustTake(t, "k")
	b := dial(t, addr, ns)
	c, waiter := open(t, addr, ns, oldTTL), open(t, addr, ns, oldTTL)
	waiting := locktest.StartLock(t.Context(), waiter, "k")
	// A release after a lost answer leaves a tombstone, and there is no place for it.
	late := driver.Grant{Key: "k", AttemptID: "late", TTL: time.Minute}
	if err := b.Release(t.Context(), late); err != nil && !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Release: %v", err)
	}
	expectHeld(t, c, "k", 3*oldTTL)
	e.must(t, "state k")
	if s, err := c.Inspect(t.Context(), "k"); err != nil || len(s.Holders) != 1 || s.Holders[0].Token != was {
		t.Errorf("Inspect = %+v, %v; want the old holder with token %v", s, err, was)
	}
	if listed := locktest.ListHeld(t, b, "", 10); len(listed) != 1 {
		t.Errorf("listed: %v, want the old holder", listed)
	}
	e.must(t, "unlock k")
	l := locktest.ExpectLock(t, waiting, locktest.Soon)
	if l.Token() <= was {
		t.Errorf("token %v was granted after %v", l.Token(), was)
	}
	locktest.Unlock(t, l)
	locktest.ExpectNothingLeft(t, func() []string { return leftByBoth(t, raw(t, addr), ns) })
}

// leftByBoth is what left says, but for tombstones of old builds.
func leftByBoth(t *testing.T, r *goredis.Client, ns string) []string {
	t.Helper()
	return slices.DeleteFunc(left(t, r, ns), func(name string) bool { return strings.HasSuffix(name, ":x") })
}

// oldHolderDies: its lock is free when its lease has ended, and not before. An operator may end it.
func oldHolderDies(t *testing.T, program string) {
	const ttl = 3 * time.Second
	addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
	e := startEarlier(t, program, addr, ns, ttl)
	e.mustTake(t, "k")
	e.mustTake(t, "evicted")
	c := open(t, addr, ns, ttl)
	if _, err := c.Evict(t.Context(), "evicted", ""); err != nil {
		t.Errorf("Evict: %v", err)
	}
	locktest.Unlock(t, locktest.Lock(t, c, "evicted"))
	locktest.Eventually(t, locktest.Soon, "the old holder is told", func() bool {
		_, err := e.do("state evicted")
		return err != nil
	})
	waiting := locktest.StartLock(t.Context(), c, "k")
	began := time.Now()
	left := raw(t, addr).PTTL(t.Context(), strings.TrimSuffix(oldQueue(ns, "k"), "q")+"l").Val()
	e.Kill()
	l := locktest.ExpectLock(t, waiting, ttl+locktest.Soon)
	if took := time.Since(began); left <= 0 || took < left {
		t.Errorf("the lock was granted %v after its holder had %v left", took, left)
	}
	locktest.Unlock(t, l)
}

// newHolder: an old build sees that a new one holds a lock, and may wait for it, which changes the
// record. The new holder renews, and is alone, as long as it likes. Then the lock is for new ones only.
func newHolder(t *testing.T, program string) {
	addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
	holder, other := open(t, addr, ns, oldTTL), open(t, addr, ns, oldTTL)
	held := locktest.Lock(t, holder, "k")
	e, old := startEarlier(t, program, addr, ns, oldTTL), startEarlier(t, program, addr, ns, oldTTL)
	e.fails(t, "try k", kindHeld, "")
	oldWaits := old.begin("lock k")
	expectHeld(t, other, "k", 3*oldTTL)
	e.fails(t, "try k", kindHeld, "")
	waiting := locktest.StartLock(t.Context(), other, "k")
	<-time.After(oldTTL)
	if err := held.Ensure(t.Context(), oldTTL/2); err != nil {
		t.Errorf("the new holder: %v", err)
	}
	locktest.Unlock(t, held)
	l := locktest.ExpectLock(t, waiting, locktest.Soon)
	locktest.Unlock(t, l)
	expectEarlierError(t, "lock k", <-oldWaits, kindOther, sentAwayWords)
	locktest.Unlock(t, locktest.Lock(t, holder, "k"))
}

// newWaiter: a lock for which a new client waits is nothing that an old build could read. It fails.
func newWaiter(t *testing.T, program string) {
	addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
	holder, waiter := open(t, addr, ns, oldTTL), open(t, addr, ns, oldTTL)
	held := locktest.Lock(t, holder, "k")
	waiting := locktest.StartLock(t.Context(), waiter, "k")
	awaitWaiters(t, holder, "k", 1)
	e := startEarlier(t, program, addr, ns, oldTTL)
	e.fails(t, "try k", kindOther, keptOut)
	e.fails(t, "lock k", kindOther, keptOut)
	e.fails(t, "inspect k", kindOther, "WRONGTYPE")
	e.fails(t, "evict k", kindOther, "WRONGTYPE")
	expectHeld(t, open(t, addr, ns, oldTTL), "k", 2*oldTTL)
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.ExpectLock(t, waiting, locktest.Soon))
}

// oldWaiters: an old holder has old waiters behind it when the first new client opens. The waiters are
// sent away when they ask again, one after the other. If the holder unlocks before, it cannot hand off, and
// the lock is free when its lease has ended.
func oldWaiters(t *testing.T, program string) {
	for what, ttl := range map[string]time.Duration{"that wait": 6 * time.Second, "that have been sent away": oldTTL} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			sentAway := ttl == oldTTL
			addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
			e := startEarlier(t, program, addr, ns, ttl)
			var behind []*earlier
			for range 3 { // the first of them asks again when the holder's lease may have ended
				behind = append(behind, startEarlier(t, program, addr, ns, time.Minute))
			}
			was := e.mustTake(t, "k")
			var oldWait []<-chan error
			for _, w := range behind {
				oldWait = append(oldWait, w.begin("lock k"))
			}
			r := raw(t, addr)
			locktest.Eventually(t, locktest.Soon, "they wait", func() bool {
				return r.ZCard(t.Context(), oldQueue(ns, "k")).Val() == int64(len(oldWait))
			})
			c := open(t, addr, ns, oldTTL)
			waiting := locktest.StartLock(t.Context(), c, "k")
			if !sentAway {
				// Each try takes a waiter off the queue before it fails, so the last may succeed.
				if _, err := e.do("unlock k"); err != nil {
					expectEarlierError(t, "unlock k", err, kindUnknown, keptOut)
				}
			} else {
				for _, done := range oldWait {
					select {
					case err := <-done:
						expectEarlierError(t, "lock k", err, kindOther, sentAwayWords)
					case <-time.After(2 * locktest.Soon):
						t.Error("an old waiter still waits")
					}
				}
				e.must(t, "state k")
				expectHeld(t, c, "k", ttl)
				e.must(t, "unlock k")
			}
			l := locktest.ExpectLock(t, waiting, ttl+locktest.Soon)
			if l.Token() <= was {
				t.Errorf("token %v was granted after %v", l.Token(), was)
			}
			expectHeld(t, open(t, addr, ns, oldTTL), "k", oldTTL)
			locktest.Unlock(t, l)
		})
	}
}

// oldQueue is the name under which old builds have the queue of a key.
func oldQueue(ns, key string) string {
	const prime, start = 16777619, 2166136261 // FNV-1a
	h := uint32(start)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * prime
	}
	return fmt.Sprintf("%s:{%d}:%s:q", ns, h%128, key)
}

// oldBuildIsKeptOut: an old build opens a namespace of new ones. It gets no lock, and harms nothing.
func oldBuildIsKeptOut(t *testing.T, program string) {
	addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
	c := open(t, addr, ns, oldTTL)
	held := locktest.Lock(t, c, "held")
	e := startEarlier(t, program, addr, ns, oldTTL)
	for i := range 5 {
		e.fails(t, fmt.Sprint("try ", i), kindOther, keptOut)
		e.fails(t, fmt.Sprint("lock ", i), kindOther, keptOut)
	}
	e.fails(t, "try held", kindHeld, "")
	locktest.Unlock(t, held)
	locktest.ExpectNothingLeft(t, func() []string { return leftByBoth(t, raw(t, addr), ns) })
	// An operator with a tool of the old build may end what a new client holds.
	held = locktest.Lock(t, c, "evicted")
	e.must(t, "inspect evicted")
	e.must(t, "evict evicted")
	locktest.ExpectLost(t, held, locktest.Soon)
	locktest.Unlock(t, locktest.Lock(t, c, "evicted"))
}

// backAndForth: an operator goes back to the old build, when no new client is left, by deleting the counters
// with their words; and later comes again with new clients. Whether he deletes all of them, or only those
// that the old build needs, the tokens rise and the old build is kept out again.
func backAndForth(t *testing.T, program string) {
	for what, names := range map[string]string{"all": "*t", "those of the old build": "*}:t"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
			r := raw(t, addr)
			c := open(t, addr, ns, oldTTL)
			l := locktest.Lock(t, c, "k")
			last := l.Token()
			locktest.Unlock(t, l)
			if err := r.Del(t.Context(), r.Keys(t.Context(), ns+":"+names).Val()...).Err(); err != nil {
				t.Fatal(err)
			}
			e := startEarlier(t, program, addr, ns, oldTTL)
			for range 3 {
				token := e.mustTake(t, "k")
				if token <= last {
					t.Errorf("token %v was granted after %v", token, last)
				}
				last = token
				e.must(t, "unlock k")
			}
			c = open(t, addr, ns, oldTTL)
			e.fails(t, "lock k", kindOther, keptOut)
			l = locktest.Lock(t, c, "k")
			if l.Token() <= last {
				t.Errorf("token %v was granted after %v", l.Token(), last)
			}
			locktest.Unlock(t, l)
		})
	}
}

// TestOldRecordFromTheFuture: an old holder, behind which old waiters were, has died, and the server's clock
// was set back. Its lease ends by its TTL.
func TestOldRecordFromTheFuture(t *testing.T) {
	t.Parallel()
	addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
	c := open(t, addr, ns, oldTTL)
	name := strings.TrimSuffix(oldQueue(ns, "k"), "q") + "l"
	record := fmt.Sprintf("%d attempt %s:c:0 1 %d its identity", time.Now().Add(time.Hour).UnixMilli(), ns, oldTTL.Milliseconds())
	if err := raw(t, addr).Set(t.Context(), name, record, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	l := locktest.Lock(t, c, "k")
	if took := time.Since(began); took < oldTTL {
		t.Errorf("the lock is granted after %v of a TTL of %v", took, oldTTL)
	}
	locktest.Unlock(t, l)
}

// TestNamespaceOfLaterBuild: a later build has made the namespace its own, before we open it or after.
func TestNamespaceOfLaterBuild(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			addr, ns := servers.Shared(t, kind).Addr(), locktest.Namespace()
			expectRefused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, driver.ErrRefused) || errors.Is(err, fencelock.ErrUnavailable) {
					t.Errorf("%s = %v, want ErrRefused", what, err)
				}
				for _, words := range []string{strconv.Quote(ns), "later build", "another namespace"} {
					if !strings.Contains(fmt.Sprint(err), words) {
						t.Errorf("%s = %v, which does not say %s", what, err, words)
					}
				}
			}
			b, c := dial(t, addr, ns), open(t, addr, ns, time.Minute)
			held := locktest.Lock(t, c, "held")
			r := raw(t, addr)
			if err := r.Set(t.Context(), ns+":t", "fencelock-3", 0).Err(); err != nil {
				t.Fatal(err)
			}
			_, err := c.TryLock(t.Context(), "try")
			expectRefused("TryLock", err)
			_, err = c.Lock(t.Context(), "lock")
			expectRefused("Lock", err)
			_, err = b.Acquire(t.Context(), driver.Request{Key: "acquire", AttemptID: "a", TTL: time.Minute, Wait: true})
			expectRefused("Acquire", err)
			locktest.Unlock(t, held) // it is no grant
			_, err = fencelock.Open(t.Context(), "redis://"+addr, &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
			expectRefused("Open", err)
			_, err = redis.New(t.Context(), r, &redis.Options{Namespace: ns, Logger: locktest.Silent})
			expectRefused("New", err)
			if names := left(t, r, ns); len(names) != 0 {
				t.Errorf("left behind: %q", names)
			}
			if word := r.Get(t.Context(), ns+":t").Val(); word != "fencelock-3" {
				t.Errorf("the word of the later build has become %q", word)
			}
		})
	}
}

// tokensAboveOldOnes: tokens go on above all that old builds have granted, whatever the clock says.
func tokensAboveOldOnes(t *testing.T, program string) {
	addr, ns := servers.Shared(t, servers.Redis).Addr(), locktest.Namespace()
	r := raw(t, addr)
	ahead := uint64(time.Now().Add(30 * 24 * time.Hour).UnixMicro())
	for i := range 128 {
		// 37 is prime to 128, so that the greatest is neither the first nor the last.
		if err := r.Set(t.Context(), fmt.Sprintf("%s:{%d}:t", ns, i), ahead+uint64(i*37%128), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	e := startEarlier(t, program, addr, ns, time.Minute)
	last := fencing.Token(ahead + 127)
	for i := range 60 {
		last = max(last, e.mustTake(t, fmt.Sprint(i)))
		if i%2 == 0 {
			e.must(t, fmt.Sprint("unlock ", i))
		}
	}
	c := open(t, addr, ns, time.Minute)
	for i := range 60 {
		if i%2 == 1 {
			expectHeld(t, c, fmt.Sprint(i), time.Millisecond)
			e.must(t, fmt.Sprint("unlock ", i))
		}
		l := locktest.Lock(t, c, fmt.Sprint(i))
		if l.Token() <= last {
			t.Errorf("token %v was granted after %v", l.Token(), last)
		}
		last = l.Token()
		locktest.Unlock(t, l)
	}
}
