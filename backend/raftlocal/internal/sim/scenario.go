package sim

import (
	"math/rand/v2"
	"slices"
	"time"
)

// scenario is what one seed is about: a few kinds of faults, not all, so that some runs are deep
// in one kind where others are wide.
type scenario struct {
	members int
	clients int
	workers int // of each client
	keys    int

	faults   []fault
	pace     time.Duration // between faults, on average
	duration time.Duration // of the part with faults

	ttls        []time.Duration
	session     time.Duration // of a session that nobody uses
	think       time.Duration // between attempts of a worker, at most
	tries       float64       // share of attempts that do not wait
	looks       float64       // share of turns in which a worker only asks who holds a key
	cancels     float64       // of those that wait: given up
	pauses      float64       // of clients, for each grant
	callTimeout time.Duration // of a client that has no answer
	gathered    bool          // a client renews all its claims at once

	electionTicks   int
	snapshotEntries int
	keepEntries     int
	segment         int64

	loss, twice, late float64
	slow              time.Duration
}

// newScenario chooses.
func newScenario(r *rand.Rand) scenario {
	p := scenario{
		members:         3,
		clients:         4 + r.IntN(3),
		workers:         1 + r.IntN(3),
		keys:            3 + r.IntN(3),
		pace:            between(r, 400*time.Millisecond, 2500*time.Millisecond),
		duration:        between(r, 8*time.Second, 14*time.Second),
		session:         between(r, time.Second, 3*time.Second),
		think:           between(r, 10*time.Millisecond, 500*time.Millisecond),
		tries:           r.Float64() * 0.5,
		looks:           r.Float64() * 0.2,
		cancels:         r.Float64() * 0.3,
		pauses:          r.Float64() * 0.15,
		callTimeout:     between(r, 150*time.Millisecond, 1500*time.Millisecond),
		gathered:        r.IntN(2) == 0,
		electionTicks:   10,
		snapshotEntries: 20 + r.IntN(200),
		keepEntries:     1 + r.IntN(50),
		segment:         int64(4+r.IntN(60)) << 10,
		loss:            r.Float64() * 0.05,
		twice:           r.Float64() * 0.05,
		late:            r.Float64() * 0.02,
		slow:            between(r, time.Millisecond, 20*time.Millisecond),
	}
	switch r.IntN(10) {
	case 0:
		p.members = 1
	case 1:
		p.members = 5
	}
	short := between(r, time.Second, 3*time.Second)
	p.ttls = []time.Duration{short}
	if r.IntN(3) == 0 {
		p.ttls = append(p.ttls, 6*time.Second)
	}
	all := slices.Clone(faults)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	p.faults = all[:3+r.IntN(len(all)-3)]
	return p
}

// between chooses a time.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}
