package drivertest

import (
	"sync"

	"github.com/fencelock/fencelock/driver"
)

var exclusionRules = []Rule{{
	Name:     "Exclusion",
	Sentence: "At most one unexpired grant of a key exists at any time.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		r.wantHeldByOther(b, key, "held by another client")
		r.wantHeldByOther(a, key, "held by the same client by another attempt")
		w := r.startWait(b, key)
		r.waitQueued(b, key, 1)
		for range 5 {
			r.wantHeldByOther(b, key, "held, with a waiter")
			r.wantWaiting(w, "held by another")
		}
		r.mustRelease(a, g)
		g = r.waitGranted(w, r.slack, "released")
		r.wantHeldByOther(a, key, "handed to a waiter")
		r.mustRelease(b, g)
	},
}, {
	Name:     "Scramble",
	Sentence: "Of several that ask for a free key at once, at most one gets it.",
	check: func(r *fixture) {
		backends := []driver.Backend{r.client(), r.client(), r.client(), r.client()}
		for range 15 {
			key := r.key()
			grants := make([]*driver.Grant, len(backends))
			var wg sync.WaitGroup
			for i, b := range backends {
				wg.Go(func() {
					if g, err := r.tryLock(b, key); err == nil {
						grants[i] = &g
					}
				})
			}
			wg.Wait()
			winners := 0
			for _, g := range grants {
				if g != nil {
					winners++
				}
			}
			if winners > 1 {
				r.Fatalf("%d of %d clients got the same key", winners, len(backends))
			}
			for i, g := range grants {
				if g != nil {
					r.mustRelease(backends[i], *g)
				}
			}
		}
	},
}}
