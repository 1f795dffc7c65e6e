package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLeaseSurvivesSlowConversion: a lock's key becomes a hash while the server is kept from running, between the
// first time that the script reads and the next. The lease ends no sooner for it: in Redis 7.0 the clock goes on
// within a script.
func TestLeaseSurvivesSlowConversion(t *testing.T) {
	t.Parallel()
	const pause = 50 // ms
	scripts, err := readScripts(func(file, text string) string {
		if file != "lib" {
			return text
		}
		const place = "local now = math.floor(now_us / 1000)\n"
		if strings.Count(text, place) != 1 {
			t.Fatalf("lib.lua has %q not once", place)
		}
		return strings.Replace(text, place, place+fmt.Sprintf(`
local resumes = now_us + %d
for _ = 1, 100000 do
  local t = redis.call('TIME')
  if t[1] * 1000000 + t[2] > resumes then break end
end
`, pause*1000), 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range servers.Redises() {
		t.Run(strings.ReplaceAll(kind.String(), " ", "_"), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			c := raw(t, servers.Start(t, kind).Addr())
			for _, script := range []string{"acquire", "release"} {
				keys := []string{script + ":l", script + ":t"}
				if err := c.Set(ctx, keys[1], "1", 0).Err(); err != nil {
					t.Fatal(err)
				}
				if err := scripts["acquire"].Run(ctx, c, keys, "ch", 60001, "try", "me", "holder").Err(); err != nil {
					t.Fatal(err)
				}
				end := c.PExpireTime(ctx, keys[0]).Val().Milliseconds()
				args := []any{"ch", 60001, "wait", "me", "waiter"}
				if script == "release" {
					args = []any{60000, "late"}
				}
				if err := scripts[script].Run(ctx, c, keys, args...).Err(); err != nil {
					t.Fatal(err)
				}
				var now int64
				text := c.HGet(ctx, keys[0], "l").Val()
				if _, err := fmt.Sscan(text, &now); err != nil {
					t.Fatalf("the lock's record is %q: %v", text, err)
				}
				if now < end {
					t.Errorf("%s: the lease ends %d ms sooner than before", script, end-now)
				}
			}
		})
	}
}

// TestManyCancelledAtOnce: all that wait for a lock give up at the same moment, and each leaves a tombstone. The server
// is done with them in a moment: what it does for each does not grow with their number, or hardly. It took 245 s.
func TestManyCancelledAtOnce(t *testing.T) {
	t.Parallel()
	const many = 1024
	s := servers.Start(t, servers.Redis70)
	ns := locktest.Namespace()
	b := dial(t, s.Addr(), ns)
	c := raw(t, s.Addr())
	ctx := t.Context()
	g, err := b.Acquire(ctx, driver.Request{Key: "k", AttemptID: "holder", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	waits, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting, calls sync.WaitGroup
	waiting.Add(many)
	for i := range many {
		calls.Go(func() {
			id := fmt.Sprintf("%016x%016x", uint64(i+1)*0x9E3779B97F4A7C15, i)
			var once sync.Once
			_, err := b.Acquire(waits, driver.Request{
				Key: "k", AttemptID: id, TTL: time.Minute, Wait: true, Waiting: func() { once.Do(waiting.Done) },
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a waiter: %v", err)
				once.Do(waiting.Done)
			}
			for range 100 {
				if err = b.Release(ctx, driver.Grant{Key: "k", AttemptID: id}); !errors.Is(err, driver.ErrUnavailable) {
					break
				}
			}
			if !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Release of a waiter: %v", err)
			}
		})
	}
	waiting.Wait()
	if err := c.ConfigSet(ctx, "slowlog-log-slower-than", "1000").Err(); err != nil {
		t.Fatal(err)
	}
	c.SlowLogReset(ctx)
	began := time.Now()
	cancel()
	calls.Wait()
	took := time.Since(began)
	slow, err := c.SlowLogGet(ctx, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	var most time.Duration
	for _, l := range slow {
		most = max(most, l.Duration)
	}
	t.Logf("%d were cancelled and released in %v; the longest command took %v", many, took, most)
	if most > 2*time.Second {
		t.Errorf("a command took %v", most)
	}
	if err := b.Release(ctx, g); err != nil {
		t.Errorf("Release of the holder: %v", err)
	}
}

// TestDeadAreLookedAtOnce: one that does not wait takes dead waiters off the queue, and the next begins behind them.
func TestDeadAreLookedAtOnce(t *testing.T) {
	t.Parallel()
	scripts, err := readScripts(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ns := locktest.Namespace()
	c, keys := raw(t, servers.Shared(t, servers.Redis).Addr()), []string{ns + ":l", ns + ":t"}
	if err := c.Set(ctx, keys[1], "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	acquire := func(mode, attempt string) {
		if err := scripts["acquire"].Run(ctx, c, keys, "ch", 60001, mode, "me", attempt).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, attempt := range []string{"holder", "dead1", "dead2", "alive"} {
		acquire("wait", attempt)
	}
	for place, attempt := range []string{"dead1", "dead2"} {
		if err := c.HSet(ctx, keys[0], fmt.Sprint(place+1), attempt+" 1000 ch 60001 me").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.HDel(ctx, keys[0], "l").Err(); err != nil { // the holder's lease has ended
		t.Fatal(err)
	}
	acquire("try", "other")
	if first := c.HGet(ctx, keys[0], "h").Val(); first != "3" {
		t.Errorf("the first place is %s, want 3", first)
	}
}
