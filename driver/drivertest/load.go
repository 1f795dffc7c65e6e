package drivertest

import (
	"errors"
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
