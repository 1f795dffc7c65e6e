package redis_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// slotMutants are layouts that do not stand on a Cluster, each with what it does in a slot that moves.
func slotMutants(t testing.TB) map[string]struct {
	scripts lockScripts
	says    string
} {
	t.Helper()
	x := theScripts(t)
	all := func(change func(script string) string, further func(string) []string) lockScripts {
		y := x.change(change)
		y.further = further
		return y
	}
	replace := func(old, replacement string) lockScripts {
		if !strings.Contains(x.acquire, old) {
			t.Fatalf("the scripts have no %q", old)
		}
		return x.change(func(script string) string { return strings.ReplaceAll(script, old, replacement) })
	}
	queue := func(lock string) string { return strings.TrimSuffix(lock, "l") + "q" }
	return map[string]struct {
		scripts lockScripts
		says    string
	}{
		// The queue of a lock that nobody waits for does not exist.
		"a second key, declared": {all(func(script string) string {
			return "redis.call('EXISTS', KEYS[2])\nlocal KEYS = { KEYS[1] }\n" + script
		}, func(lock string) []string { return []string{queue(lock)} }), errTryAgain.Error()},
		"a second key, not declared": {all(func(script string) string {
			return "redis.call('EXISTS', string.sub(KEYS[1], 1, -2) .. 'q')\n" + script
		}, nil), "access a non local key"},
		// It begins again where the slot goes to.
		"a counter of tokens, not declared": {
			replace("last = math.max(last + 1, now_us)", "last = redis.call('INCR', string.match(KEY, '^.*}:') .. 't')"), "the token falls",
		},
		// Between the two the script has no key, and is not let make it.
		"the key is deleted and made again": {
			replace("redis.call('HSET', KEY, unpack(f))", "local all = redis.call('HGETALL', KEY)\nredis.call('DEL', KEY)\n"+
				"if #all > 0 then redis.call('HSET', KEY, unpack(all)) end\nredis.call('HSET', KEY, unpack(f))"), "access a non local key",
		},
	}
}

// slotRecorder is a test that fails without failing ours.
type slotRecorder struct {
	testing.TB
	said []string
}

func (r *slotRecorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *slotRecorder) Fatalf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// testMutants: layouts that do not stand on a Cluster fail in the same test.
func testMutants(t *testing.T, c *slots) {
	for name, mutant := range slotMutants(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &slotRecorder{TB: t}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				moveByKeys(r, c.slot(t), mutant.scripts)
			}()
			<-ended
			if len(r.said) != 1 || !strings.Contains(r.said[0], mutant.says) {
				t.Fatalf("it said %q, want %q", r.said, mutant.says)
			}
			t.Log(r.said[0])
		})
	}
}
