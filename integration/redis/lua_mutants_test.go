package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// luaMutants are changes of the scripts that TestLuaModel has to notice: a text of a file, which is there once, and
// what stands in its place.
var luaMutants = []struct{ what, file, text, instead string }{
	{"tokens of a batch do not rise above a counter that is ahead", "acquire_fast", "not last or last >= now_us", "not last"},
	{"a lock that is held is taken", "acquire_fast", "'NX', ", ""},
	{"a lock stays though there is no token for it", "acquire_fast", "redis.call('DEL', KEYS[i])", ""},
	{"an attempt that was released gets the lock", "acquire", "if buried(attempt) then return false end", ""},
	{"a waiter shortens the life of the key", "acquire", "redis.call('PEXPIRE', KEY, ttl, 'GT')", "redis.call('PEXPIRE', KEY, ttl)"},
	{"a full server refuses to keep a position", "acquire", "must_pass()\n    redis.call('HSET', KEY, place, w)", "redis.call('HSET', KEY, place, w)"},
	{"a lock goes to one that does not wait while others do", "acquire", "if first_waiter() then return 0 end", ""},
	{"the lock of an older build gets a queue", "acquire", "if held and lock.old then", "if false then"},
	{"a lock is freed by an attempt whose name begins alike", "release_fast", "'+ ' .. ARGV[1 + i] .. ' '", "'+ ' .. string.sub(ARGV[1 + i], 1, 1)"},
	{"any attempt releases the lock", "release", "lock and lock.attempt == attempt", "lock"},
	{"the next in the queue is not told that it is the first", "release", "if w then redis.call('PUBLISH'", "if false then redis.call('PUBLISH'"},
	{"the key stays a hash when the last that waited has the lock", "release", "while first <= last_place and", "while false and"},
	{"a release that failed halfway cannot be asked again", "release", "if again and not holds then", "if again then"},
	{"the lock of an older build becomes a hash", "release", "(not tombstone_ttl or lock and lock.old)", "not tombstone_ttl"},
	{"a full server refuses a release", "release", "if place or tombstone_ttl then must_pass() end", ""},
	{"tombstones are forgotten", "lib", "tonumber(ends) > now and #graves - from < MOST_GRAVES", "false"},
	{"tombstones stay", "lib", "tonumber(ends) > now and #graves", "#graves"},
	{"the counter is not written", "lib", "redis.call('SET', COUNTER, token)", ""},
	{"tokens fall behind the clock", "lib", "math.max(last + 1, now_us)", "last + 1"},
	{"the waiter that gets the lock stays in the queue", "lib", "redis.call('HDEL', KEY, first, 'w' .. w.attempt)\n  wrote = true\n  first = first + 1", ""},
	{"a dead waiter gets the lock", "lib", "if tonumber(deadline) > now then", "if true then"},
	{"a lease never ends", "lib", "over = left <= 0", "over = false"},
	{"a full server refuses a renewal", "lib", "must_pass()\n  lock.ttl, lock.left", "lock.ttl, lock.left"},
	{"who gets the lock is not told", "lib", "redis.call('PUBLISH', w.client, 'granted '", "redis.call('ECHO', 'granted '"},
	{"any attempt renews the lock", "renew_fast", "attempt == ARGV[2 * i - 1] and was == ttl", "attempt and was == ttl"},
	{"what has ended is renewed", "renew", " or lock.over", ""},
	{"another's grant is evicted", "evict", "ARGV[1] ~= '' and lock.attempt ~= ARGV[1]", "false"},
}

// TestLuaMutants: TestLuaModel finds what breaks the scripts.
func TestLuaMutants(t *testing.T) {
	t.Parallel()
	c := raw(t, servers.Start(t, servers.Redis).Addr())
	began := time.Now()
	const seeds = 40
	whole, err := readScripts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(seeds / 4) {
		if err := runLua(t.Context(), c, whole, seed%4 == 3, seed, 150, map[string]int{}); err != nil {
			t.Fatalf("without a mutation, seed %d: %v", seed, err)
		}
	}
	for _, m := range luaMutants {
		t.Run(strings.ReplaceAll(m.what, " ", "_"), func(t *testing.T) {
			scripts, err := readScripts(func(file, text string) string {
				if file != m.file {
					return text
				}
				if n := strings.Count(text, m.text); n != 1 {
					t.Fatalf("%s.lua has %q %d times", file, m.text, n)
				}
				return strings.Replace(text, m.text, m.instead, 1)
			})
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(seeds) {
				if err := runLua(t.Context(), c, scripts, seed%4 == 3, seed, 150, map[string]int{}); err != nil {
					t.Logf("seed %d: %.150s", seed, err)
					return
				}
			}
			t.Error("nothing was noticed")
		})
	}
	t.Logf("%d in %v", len(luaMutants), time.Since(began))
}
