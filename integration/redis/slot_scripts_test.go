package redis_test

import (
	"fmt"
	"strconv"
	"time"
)

// lockScripts are the scripts of backend/redis, to be run with the one key of a lock.
type lockScripts struct {
	acquire, release, renew string
	// further are the names of the keys that are declared besides that of the lock; nil for none.
	further func(lock string) []string
}

// theScripts are as the library composes them.
func theScripts() lockScripts {
	return lockScripts{acquire: stubAcquire, release: stubRelease, renew: stubRenew}
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
	return x.call(x.acquire, lock, attempt, channel, ttl.Milliseconds()+1, mode, "identity")
}

// releaseCall leaves a tombstone if a packet of the attempt may be late.
func (x lockScripts) releaseCall(lock, attempt string, late bool) []any {
	if !late {
		return x.call(x.release, lock, attempt)
	}
	return x.call(x.release, lock, attempt, time.Minute.Milliseconds())
}

func (x lockScripts) renewCall(lock, attempt string, ttl time.Duration) []any {
	return x.call(x.renew, lock, attempt, ttl.Milliseconds()+1)
}

// answer is what came of an attempt to acquire.
type answer struct {
	token    uint64 // it holds the lock
	waits    bool   // it has a position in the queue
	first    bool   // the first one
	held     bool   // another holds it, and this one does not wait
	released bool   // it was released before
}

func parseAcquired(reply any) (a answer, err error) {
	switch r := reply.(type) {
	case nil:
		return answer{released: true}, nil
	case string:
		a.token, err = strconv.ParseUint(r, 10, 64)
		return a, err
	case int64:
		return answer{held: true}, nil
	case []any:
		switch len(r) {
		case 2:
			return answer{held: true}, nil
		case 3:
			return answer{waits: true, first: r[0] == int64(1)}, nil
		}
	}
	return a, fmt.Errorf("acquire: unexpected answer %v", reply)
}

// parseCount is the answer of the scripts that release and renew, for one lock.
func parseCount(reply any) (int, error) {
	if list, ok := reply.([]any); ok && len(list) == 1 {
		reply = list[0]
	}
	if n, ok := reply.(int64); ok {
		return int(n), nil
	}
	return 0, fmt.Errorf("unexpected answer %v", reply)
}
