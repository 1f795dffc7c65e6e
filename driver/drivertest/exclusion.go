package drivertest

import (
	"sync"

	"github.com/fencelock/fencelock/driver"
)

var exclusionRules = []Rule{{
	Name:     "Exclusion",
	Sentence: "At most one unexpired grant of a key exists at any time.",
	check: func(r *rig) {
		a, b := r.clients()
		key := r.key()
		g := r.lock(a, key)
		r.taken(b, key, "held by another client")
		r.taken(a, key, "held by the same client under another owner")
		w := r.wait(b, key)
		r.queued(b, key, 1)
		for range 5 {
			r.taken(b, key, "held, with a waiter")
			r.waiting(w, "held by another")
		}
		r.release(a, g)
		g = r.granted(w, r.slack, "released")
		r.taken(a, key, "handed to a waiter")
		r.release(b, g)
	},
}, {
	Name:     "Scramble",
	Sentence: "Of several that ask for a free key at once, at most one gets it.",
	check: func(r *rig) {
		backends := []driver.Backend{r.client(), r.client(), r.client(), r.client()}
		for range 15 {
			key := r.key()
			grants := make([]*driver.Grant, len(backends))
			var wg sync.WaitGroup
			for i, b := range backends {
				wg.Go(func() {
					if g, err := r.try(b, key); err == nil {
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
					r.release(backends[i], *g)
				}
			}
		}
	},
}}
