package drivertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var loadRules = []Rule{{
	Name: "Contention",
	Sentence: "Many that take the same lock in turn never meet, lose no update, and their tokens rise in the order " +
		"in which they hold it.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		const workers, rounds = 8, 15
		var (
			wg      sync.WaitGroup
			last    atomic.Uint64
			inside  atomic.Int32
			counter atomic.Int64 // read, then written: an update is lost if two meet
		)
		for i := range workers {
			backend := []driver.Backend{a, b}[i%2]
			wg.Go(func() {
				for range rounds {
					req := r.request(key)
					req.Wait = true
					g, err := r.acquire(r.within(10*r.slack), backend, req)
					if err != nil {
						r.Errorf("Acquire under contention: %v", err)
						return
					}
					if n := inside.Add(1); n > 1 {
						r.Errorf("%d hold the lock at once", n)
					}
					if before := last.Swap(uint64(g.Token)); r.fell(before, uint64(g.Token)) {
						r.Errorf("token %v was granted after %v", g.Token, before)
					}
					n := counter.Load()
					_ = pause(r.Context(), 50*time.Microsecond)
					counter.Store(n + 1)
					inside.Add(-1)
					r.mustRelease(backend, g)
				}
			})
		}
		wg.Wait()
		if n := counter.Load(); n != workers*rounds && !r.Failed() {
			r.Errorf("%d updates were made, %d are there", workers*rounds, n)
		}
		r.waitFree(a, key, r.slack)
	},
}, {
	Name:     "ManyKeys",
	Sentence: "Keys do not touch each other; a batch of renewals may be of any size.",
	check: func(r *fixture) {
		a, b := r.clients()
		const n = 400
		keys := make([]string, n)
		for i := range keys {
			keys[i] = r.key()
		}
		grants := make([]driver.Grant, n)
		r.forAll(keys, func(i int) {
			g, err := r.tryLock(a, keys[i])
			if err != nil {
				r.Errorf("Acquire of one of %d keys: %v", n, err)
			}
			grants[i] = g
		})
		if r.Failed() {
			return
		}
		r.forAll(keys, func(i int) {
			if _, err := r.tryLock(b, keys[i]); !errors.Is(err, driver.ErrHeld) {
				r.Errorf("Acquire of a key that is held, among %d = %v, want ErrHeld", n, err)
			}
		})
		for i, out := range a.Renew(r.soon(), grants) {
			if out.Err != nil {
				r.Errorf("Renewal %d of %d: %v", i, n, out.Err)
			}
		}
		r.forAll(keys, func(i int) { r.mustRelease(a, grants[i]) })
		r.forAll(keys, func(i int) { r.waitFree(b, keys[i], r.slack) })
	},
}}

// forAll calls f for the index of each key, a few at a time.
func (r *fixture) forAll(keys []string, f func(i int)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(keys)) && !r.Failed(); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	wg.Wait()
}

var stormRules = []Rule{{
	Name: "ConcurrentUse",
	Sentence: "Methods are safe for concurrent use: whatever is asked at once, at most one holds a key, tokens rise, " +
		"and errors are of the kinds that the contract names.",
	check: (*fixture).checkConcurrentUse,
}, {
	Name:     "LeavesNothing",
	Sentence: "When every attempt has been released, was evicted or has run out, nothing is left of it: no grant, no waiter.",
	check:    (*fixture).checkLeavesNothing,
}}

// checkConcurrentUse makes eight workers of two clients do what comes to their minds with
// three keys, and then looks for remains.
func (r *fixture) checkConcurrentUse() {
	const workers, steps = 8, 30
	a, b := r.clients()
	keys := []string{r.key(), r.key(), r.key()}
	holders := make([]atomic.Int32, len(keys))
	last := make([]atomic.Uint64, len(keys))
	var wg sync.WaitGroup
	for i := range workers {
		backend := []driver.Backend{a, b}[i%2]
		rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), r.rnd.Uint64()))
		wg.Go(func() {
			for range steps {
				k := rnd.IntN(len(keys))
				req := r.request(keys[k])
				req.Wait = rnd.IntN(3) > 0
				ctx, cancel := context.WithTimeout(r.Context(), time.Duration(rnd.Int64N(int64(20*time.Millisecond))))
				g, err := r.acquire(ctx, backend, req)
				cancel()
				if err != nil {
					if !known(err) {
						r.Errorf("Acquire: %v, which is of no kind that the contract names", err)
					}
					_ = backend.Release(r.soon(), driver.Grant{Key: req.Key, AttemptID: req.AttemptID})
					continue
				}
				if holders[k].Add(1) > 1 {
					r.Errorf("two hold the same key")
				}
				if before := last[k].Swap(uint64(g.Token)); r.fell(before, uint64(g.Token)) {
					r.Errorf("token %v was granted after %v", g.Token, before)
				}
				if rnd.IntN(2) == 0 {
					r.wantHeld(backend, g, "in a storm")
				}
				if _, err := backend.Inspect(r.soon(), req.Key); err != nil {
					r.Errorf("Inspect: %v", err)
				}
				holders[k].Add(-1)
				if rnd.IntN(2) == 0 {
					g = driver.Grant{Key: g.Key, AttemptID: g.AttemptID}
				}
				r.mustRelease(backend, g)
			}
		})
	}
	wg.Wait()
	for i, key := range keys {
		r.waitFree(a, key, r.slack)
		if r.Failed() {
			r.Errorf("key %d of %d was not left as it was found", i+1, len(keys))
			return
		}
		r.mustRelease(b, r.mustLock(b, key))
	}
}

// known reports whether an Acquire with a deadline may end so.
func known(err error) bool {
	for _, kind := range []error{driver.ErrHeld, driver.ErrUnavailable, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// checkLeavesNothing ends attempts in every way there is, without order, and then looks for
// remains.
func (r *fixture) checkLeavesNothing() {
	clients := []driver.Backend{r.client(), r.client()}
	keys := []string{r.key(), r.key()}
	var wg sync.WaitGroup
	for i := range 4 {
		b := clients[i%2]
		rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), r.rnd.Uint64()))
		wg.Go(func() {
			for range 20 {
				req := r.request(keys[rnd.IntN(len(keys))])
				req.Wait = rnd.IntN(2) == 0
				if rnd.IntN(4) == 0 {
					req.TTL = r.ttl
				}
				ctx, cancel := context.WithTimeout(r.Context(), time.Duration(rnd.Int64N(int64(r.ttl/10))))
				g, err := r.acquire(ctx, b, req)
				cancel()
				switch {
				case err != nil:
					_ = b.Release(r.soon(), driver.Grant{Key: req.Key, AttemptID: req.AttemptID})
				case rnd.IntN(3) == 0:
					_ = b.Evict(r.soon(), req.Key, "") // of any attempt
				case req.TTL == r.ttl:
					// left to run out
				default:
					_ = b.Release(r.soon(), g)
				}
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		r.waitFree(clients[0], key, r.ttl+r.slack)
		r.mustRelease(clients[1], r.mustLock(clients[1], key))
	}
}
