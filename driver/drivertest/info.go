package drivertest

import "github.com/fencelock/fencelock/driver"

var infoRules = []Rule{{
	Name:     "Info",
	Sentence: "Info never changes over a Backend's life, and is what the harness wants.", // Namespace only where Want has one: most harnesses draw theirs
	check: func(r *fixture) {
		a, b := r.clients()
		for range 2 {
			for _, c := range []driver.Backend{a, b} {
				got, want := c.Info(), r.h.Want
				if got.Name != want.Name || got.Guarantee != want.Guarantee || got.Features != want.Features ||
					got.MinTTL != want.MinTTL || got.MaxTTL != want.MaxTTL || got.SameClock != want.SameClock || got.Tokenless != want.Tokenless ||
					want.Namespace != "" && got.Namespace != want.Namespace {
					r.Errorf("Info is %+v, want %+v", got, want)
				}
			}
			key := r.key()
			r.mustRelease(a, r.mustLock(a, key))
			r.mustRelease(b, r.mustLock(b, key))
		}
	},
}}
