package sim

import (
	"context"
	"fmt"
	"strings"
)

var errContext = context.DeadlineExceeded

// tally counts what has happened: runs in which little has prove nothing.
type tally struct {
	seeds, requests                             int
	modes                                       [modes]int
	grants, changes, overlaps, held             int
	unavailable, timeUps                        int
	renewals, lost, slept, repairs, revived     int
	vanished, jumps, isolated, unfit, evictions int
	keptOut, claims, evictedEarly               int
	listings, listed                            int
	restarts                                    [4]int
}

func (t *tally) add(o *tally) {
	t.seeds += o.seeds
	t.requests += o.requests
	for i := range t.modes {
		t.modes[i] += o.modes[i]
	}
	for i := range t.restarts {
		t.restarts[i] += o.restarts[i]
	}
	for i, n := range o.numbers() {
		*t.numbers()[i].n += *n.n
	}
}

type number struct {
	n    *int
	what string
	per  float64 // there must be so many for each seed
}

func (t *tally) numbers() []number {
	return []number{
		{&t.grants, "grants", 20},
		{&t.changes, "changes of client", 5},
		{&t.overlaps, "overlaps", 0.5},
		{&t.held, "times held", 1},
		{&t.unavailable, "times unavailable", 1},
		{&t.timeUps, "times up", 0.5},
		{&t.renewals, "renewals", 10},
		{&t.lost, "losses", 0.2},
		{&t.slept, "slept", 0.3},
		{&t.repairs, "repairs", 0.5},
		{&t.revived, "revived by late packets", 0},
		{&t.vanished, "keys vanished", 3},
		{&t.jumps, "clocks jumped", 0.5},
		{&t.isolated, "nodes cut off", 0.5},
		{&t.unfit, "requests to another boot", 1},
		{&t.evictions, "evictions", 0.1},
		{&t.keptOut, "tries kept out", 0.2},
		{&t.evictedEarly, "evicted before the grant", 0},
		{&t.claims, "keys of lost ends", 0},
		{&t.listings, "listings", 5},
		{&t.listed, "locks held all through a listing", 1},
	}
}

// lacking says of what too little has happened.
func (t *tally) lacking() string {
	var short []string
	for _, n := range t.numbers() {
		if float64(*n.n) < n.per*float64(t.seeds) {
			short = append(short, n.what)
		}
	}
	for kind, n := range t.restarts {
		if n*10 < t.seeds {
			short = append(short, fmt.Sprintf("restarts of kind %d", kind))
		}
	}
	return strings.Join(short, ", ")
}

func (t *tally) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d seeds %v, %d requests, restarts %v", t.seeds, t.modes, t.requests, t.restarts)
	for _, n := range t.numbers() {
		fmt.Fprintf(&s, ", %d %s", *n.n, n.what)
	}
	return s.String()
}
