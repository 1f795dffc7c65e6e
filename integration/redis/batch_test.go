package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// gathering is a client whose callers go to the server in one request: while all requests that may be under way are held back, all others
// wait, and go together then.
type gathering struct {
	t       *testing.T
	b       driver.Backend
	p       *proxy.Proxy
	largest atomic.Int64 // how many locks the largest call was about
	rounds  int
}

func newGathering(t *testing.T, s *servers.Server, ns string) *gathering {
	p := through(t, s.Addr())
	g := &gathering{t: t, b: dial(t, p.Addr(), ns), p: p}
	locktest.Tally(p, func(request []byte) bool {
		if n := int64(locksOf(request)); n > g.largest.Load() {
			g.largest.Store(n)
		}
		return false
	})
	return g
}

// locksOf is how many locks a call of acquire or release is about; 0 for any other request.
func locksOf(request []byte) int {
	if !acquireCalls(request) && !releases(request) {
		return 0
	}
	n, _ := strconv.Atoi(proxy.Args(request)[2])
	return n - 1 // the counter
}

var acquireCalls = locktest.RedisRequest("acquire")

// together has the calls go in one request, and wants at least so many locks in one call.
func (g *gathering) together(atLeast int, calls ...func()) {
	g.t.Helper()
	g.rounds++
	var held [8]proxy.Held // as many requests are under way at the most
	for i := range held {
		held[i] = g.p.HoldRequest(acquireCalls, 1)
	}
	var running sync.WaitGroup
	for i := range held {
		running.Go(func() {
			ctx := context.WithoutCancel(g.t.Context())
			key := fmt.Sprint("in the way ", g.rounds, " ", i)
			grant, err := g.b.Acquire(ctx, driver.Request{Key: key, AttemptID: key, TTL: time.Minute})
			if err == nil {
				_ = g.b.Release(ctx, grant)
			}
		})
	}
	locktest.Await(g.t, locktest.Soon, "two requests are held back", held[1].Fired())
	time.Sleep(100 * time.Millisecond) // until all that may be under way are
	g.largest.Store(0)
	for _, call := range calls {
		running.Go(call)
	}
	time.Sleep(100 * time.Millisecond) // until they wait
	for _, h := range held {
		h.Release()
	}
	running.Wait()
	if n := g.largest.Load(); n < int64(atLeast) {
		g.t.Errorf("the largest call was about %d locks, want %d: this proves nothing", n, atLeast)
	}
}

// acquire tries to get keys together, as attempts of their own.
func (g *gathering) acquire(keys ...string) ([]driver.Grant, []error) {
	g.t.Helper()
	grants, errs := make([]driver.Grant, len(keys)), make([]error, len(keys))
	calls := make([]func(), len(keys))
	for i, key := range keys {
		calls[i] = func() {
			attempt := fmt.Sprint("attempt ", g.rounds, i)
			grants[i], errs[i] = g.b.Acquire(g.t.Context(), driver.Request{Key: key, AttemptID: strings.ReplaceAll(attempt, " ", "-"), TTL: time.Minute})
		}
	}
	g.together(len(keys)*9/10, calls...)
	return grants, errs
}

// expectAll wants all to be granted, with tokens of their own that are greater than floor, and returns the greatest.
func (g *gathering) expectAll(what string, grants []driver.Grant, errs []error, floor uint64) uint64 {
	g.t.Helper()
	seen, last := map[uint64]bool{}, floor
	for i, err := range errs {
		token := uint64(grants[i].Token)
		switch {
		case err != nil:
			g.t.Errorf("%s: %q: %v", what, grants[i].Key, err)
		case token <= floor || seen[token]:
			g.t.Errorf("%s: %q has token %d, which is another's or not above %d", what, grants[i].Key, token, floor)
		}
		seen[token], last = true, max(last, token)
	}
	return last
}

func (g *gathering) release(grants []driver.Grant) {
	g.t.Helper()
	var calls []func()
	for _, grant := range grants {
		calls = append(calls, func() {
			if err := g.b.Release(g.t.Context(), grant); err != nil {
				g.t.Errorf("Release of %q: %v", grant.Key, err)
			}
		})
	}
	g.together(len(grants)*9/10, calls...)
}

func manyKeys(name string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprint(name, i))
	}
	return keys
}

// TestBatch: each lock of a request fails by itself, and tokens of a request are distinct and rise.
func TestBatch(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			g, admin, ctx := newGathering(t, s, ns), raw(t, s.Addr()), t.Context()
			names := func(key string) []string { return lockKeys(ns, key) }
			other := dial(t, s.Addr(), ns)

			// Keys that are somebody else's, one that is held, and one that two ask for.
			keys := manyKeys("a", 60)
			for _, name := range names("a3") {
				admin.RPush(ctx, name, "x")
			}
			for _, name := range names("a4") {
				admin.Set(ctx, name, "somebody else's", 0)
			}
			for _, name := range names("a5") {
				admin.HSet(ctx, name, "x", "y")
			}
			if _, err := other.Acquire(ctx, driver.Request{Key: "a6", AttemptID: "other", TTL: time.Minute}); err != nil {
				t.Fatal(err)
			}
			keys[8] = "a7"
			admin.ConfigResetStat(ctx)
			grants, errs := g.acquire(keys...)
			t.Logf("calls on the server: %s", callStats(admin.Info(ctx, "commandstats").Val()))
			var fine []driver.Grant
			granted := 0 // of the two
			for i, err := range errs {
				switch keys[i] {
				case "a3", "a4", "a5":
					if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "WRONGTYPE") {
						t.Errorf("of somebody else's key: %v", err)
					}
					continue
				case "a6":
					if !errors.Is(err, driver.ErrHeld) {
						t.Errorf("of a lock that is held: %v", err)
					}
					continue
				case "a7":
					if err != nil {
						if !errors.Is(err, driver.ErrHeld) {
							t.Errorf("of one that two ask for: %v", err)
						}
						continue
					}
					granted++
				}
				if err != nil {
					t.Errorf("%q: %v", keys[i], err)
				}
				fine = append(fine, grants[i])
			}
			if granted != 1 {
				t.Errorf("%d of two have the lock", granted)
			}
			last := g.expectAll("beside others", fine, make([]error, len(fine)), 0)

			// The counter is ahead of the clock.
			ahead := uint64(time.Now().Add(time.Hour).UnixMicro()) //nolint:gosec // after 1970
			admin.Set(ctx, ns+":t", ahead, 0)
			grants, errs = g.acquire(manyKeys("b", 60)...)
			last = max(last, g.expectAll("ahead of the clock", grants, errs, ahead))
			fine = append(fine, grants...)

			// The server has forgotten the scripts.
			admin.ScriptFlush(ctx)
			grants, errs = g.acquire(manyKeys("c", 60)...)
			last = g.expectAll("after SCRIPT FLUSH", grants, errs, last)
			g.release(grants)

			// A release and an acquire of one key in one request.
			var again driver.Grant
			var err1, err2 error
			g.together(0, func() { err1 = g.b.Release(ctx, fine[0]) }, func() {
				again, err2 = g.b.Acquire(ctx, driver.Request{Key: fine[0].Key, AttemptID: "again", TTL: time.Minute})
			})
			switch {
			case err1 != nil:
				t.Errorf("Release: %v", err1)
			case err2 == nil && uint64(again.Token) <= last:
				t.Errorf("token %v after %v", again.Token, last)
			case err2 != nil && !errors.Is(err2, driver.ErrHeld):
				t.Errorf("Acquire: %v", err2)
			}
			fine = fine[1:]

			// The counter is somebody else's: nobody gets anything. It is lost: it is made again.
			admin.Del(ctx, ns+":t")
			admin.HSet(ctx, ns+":t", "x", "y")
			_, errs = g.acquire(manyKeys("d", 60)...)
			for _, err := range errs {
				if !errors.Is(err, driver.ErrRefused) {
					t.Errorf("without a counter: %v", err)
				}
			}
			for _, key := range manyKeys("d", 60) {
				if n := admin.Exists(ctx, names(key)...).Val(); n != 0 {
					t.Errorf("%q is there, and nobody has it", key)
				}
			}
			admin.Del(ctx, ns+":t")
			grants, errs = g.acquire(manyKeys("d", 60)...)
			g.expectAll("after the counter was lost", grants, errs, 0)
			fine = append(fine, grants...)

			// A full server refuses what is new, and carries out what comes with it.
			set(t, admin, []string{"maxmemory", "1"})
			var calls []func()
			for _, key := range manyKeys("e", 30) {
				calls = append(calls, func() {
					_, err := g.b.Acquire(ctx, driver.Request{Key: key, AttemptID: "full-" + key, TTL: time.Minute})
					if !errors.Is(err, driver.ErrRefused) || !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "OOM") {
						t.Errorf("Acquire on a full server: %v", err)
					}
				})
			}
			for _, grant := range fine[:30] {
				calls = append(calls, func() {
					if err := g.b.Release(ctx, grant); err != nil {
						t.Errorf("Release of %q on a full server: %v", grant.Key, err)
					}
				})
			}
			g.together(25, calls...)
			set(t, admin, []string{"maxmemory", "0"})
			for from := 30; from < len(fine); from += 60 {
				g.release(fine[from:min(from+60, len(fine))])
			}
		})
	}
}

// callStats are those of scripts.
func callStats(info string) string {
	for line := range strings.Lines(info) {
		if strings.HasPrefix(line, "cmdstat_evalsha") {
			return strings.TrimSpace(line)
		}
	}
	return "none"
}

// TestBatchForbiddenKey: keys that the ACL does not allow are refused, and those that go with them are not.
func TestBatchForbiddenKey(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			g, admin := newGathering(t, s, ns), raw(t, s.Addr())
			acl := []any{"ACL", "SETUSER", "default", "resetkeys", "~" + ns + ":t", "~" + ns + ":{*}:in?the?way*", "~" + ns + ":{*}:a*"}
			if err := admin.Do(t.Context(), acl...).Err(); err != nil {
				t.Fatal(err)
			}
			keys := manyKeys("a", 60)
			keys[7], keys[8] = "b7", "b8"
			grants, errs := g.acquire(keys...)
			for _, i := range []int{7, 8} {
				if !errors.Is(errs[i], driver.ErrRefused) || !strings.Contains(errs[i].Error(), "NOPERM") {
					t.Errorf("of a key that is not allowed: %v", errs[i])
				}
				grants[i], errs[i] = grants[i-2], nil
			}
			grants = append(grants[:7], grants[9:]...)
			g.expectAll("beside keys that are not allowed", grants, errs[:len(grants)], 0)
			g.release(grants)
		})
	}
}
