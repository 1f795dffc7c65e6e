package redis_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// lockScripts are the scripts of backend/redis, to be run with the one key of a lock: without the counter, which
// all locks of one server share, as a Cluster needs it.
type lockScripts struct {
	acquire, release, renew, evict string
	// further are the names of the keys that are declared besides that of the lock; nil for none.
	further func(lock string) []string
}

var (
	embedded = regexp.MustCompile(`//go:embed (lua/\w+\.lua)\nvar (\w+) string`)
	composed = regexp.MustCompile(`(\w+)Script += node\.NewScript\(([\w, ]+)\)`)
)

// theScripts are as the library composes them, which it says in scripts.go.
func theScripts(t testing.TB) lockScripts {
	t.Helper()
	const dir = "../../backend/redis"
	source := must(os.ReadFile(filepath.Join(dir, "scripts.go")))(t)
	parts := map[string]string{}
	for _, m := range embedded.FindAllStringSubmatch(string(source), -1) {
		parts[m[2]] = string(must(os.ReadFile(filepath.Join(dir, m[1])))(t))
	}
	scripts := map[string]string{}
	for _, m := range composed.FindAllStringSubmatch(string(source), -1) {
		for part := range strings.SplitSeq(m[2], ", ") {
			scripts[m[1]] += parts[part] + "\n"
		}
	}
	x := lockScripts{acquire: scripts["acquire"], release: scripts["release"], renew: scripts["renew"], evict: scripts["evict"]}
	if x.acquire == "" || x.release == "" || x.renew == "" || x.evict == "" {
		t.Fatal("scripts.go composes scripts in a way that this test does not know")
	}
	return x
}

// change changes each of them.
func (x lockScripts) change(change func(script string) string) lockScripts {
	x.acquire, x.release, x.renew, x.evict = change(x.acquire), change(x.release), change(x.renew), change(x.evict)
	return x
}

func (x lockScripts) call(script, lock string, args ...any) []any {
	keys := []any{lock}
	if x.further != nil {
		for _, k := range x.further(lock) {
			keys = append(keys, k)
		}
	}
	words := append([]any{"EVAL", script, len(keys)}, keys...)
	return append(words, args...)
}

func (x lockScripts) acquireCall(lock, attempt, channel, mode string, ttl time.Duration) []any {
	return x.call(x.acquire, lock, channel, ttl.Milliseconds()+1, mode, "identity", attempt)
}

// releaseCall leaves a tombstone if a packet of the attempt may be late.
func (x lockScripts) releaseCall(lock, attempt string, late bool) []any {
	tombstone := ""
	if late {
		tombstone = fmt.Sprint(time.Minute.Milliseconds())
	}
	return x.call(x.release, lock, tombstone, attempt)
}

func (x lockScripts) renewCall(lock, attempt string, ttl time.Duration) []any {
	return x.call(x.renew, lock, attempt, ttl.Milliseconds()+1)
}

func (x lockScripts) evictCall(lock, attempt string) []any { return x.call(x.evict, lock, attempt) }

// answer is what came of an attempt to acquire.
type answer struct {
	token    uint64 // it holds the lock
	waits    bool   // it has a position in the queue
	first    bool   // the first one
	held     bool   // another holds it, and this one does not wait
	released bool   // it was released before
}

func parseAcquired(reply any) (answer, error) {
	one, err := theOne(reply)
	if err != nil {
		return answer{}, err
	}
	switch r := one.(type) {
	case nil:
		return answer{released: true}, nil
	case int64:
		return answer{token: uint64(r), held: r == 0}, nil
	case []any:
		switch len(r) {
		case 2:
			return answer{held: true}, nil
		case 3:
			return answer{waits: true, first: r[0] == int64(1)}, nil
		}
	}
	return answer{}, fmt.Errorf("acquire: unexpected answer %v", one)
}

// parseCount is the answer of the other scripts.
func parseCount(reply any) (int, error) {
	one, err := theOne(reply)
	if n, ok := one.(int64); ok {
		return int(n), nil
	}
	if err == nil {
		err = fmt.Errorf("unexpected answer %v", one)
	}
	return 0, err
}

// theOne is the answer about the one lock that was asked about, which may be an error.
func theOne(reply any) (any, error) {
	list, ok := reply.([]any)
	if !ok || len(list) != 1 {
		return nil, fmt.Errorf("unexpected answer %v", reply)
	}
	if err, ok := list[0].(error); ok {
		return nil, err
	}
	return list[0], nil
}
