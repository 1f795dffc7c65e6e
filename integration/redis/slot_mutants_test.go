package redis_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// slotMutants are layouts that do not stand on a Cluster, each with what it does in a slot that moves.
func slotMutants() map[string]struct {
	scripts lockScripts
	says    string
} {
	x := theScripts()
	all := func(change func(script string) string, further func(string) []string) lockScripts {
		return lockScripts{acquire: change(x.acquire), release: change(x.release), renew: change(x.renew), further: further}
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
		"a counter of tokens, not declared": {all(func(script string) string {
			return strings.ReplaceAll(script, "math.max((s.last or 0) + 1, now_us)",
				"redis.call('INCR', string.match(KEYS[1], '^.*}:') .. 't')")
		}, nil), "the token falls"},
		// Between the two the script has no key, and is not let make it.
		"the key is deleted and made again": {all(func(script string) string {
			return strings.ReplaceAll(script, "redis.call('HSET', K,", "redis.call('DEL', K)\nredis.call('HSET', K,")
		}, nil), "access a non local key"},
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
	for name, mutant := range slotMutants() {
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
