package drivertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Rule is one sentence of the contract and the check that goes with it.
type Rule struct {
	Name     string
	Sentence string

	features  driver.Features  // applies if Want has these
	guarantee driver.Guarantee // applies if Want promises at least this
	hook      string           // needs this hook of the Harness
	tokens    bool             // applies unless Want says that there are none
	serial    bool             // disturbs every client of the server
	check     func(r *fixture)
}

// verdict says what is to be done with a rule before it has run.
type verdict int

const (
	run          verdict = iota
	doesNotApply         // nothing to test
	skip                 // something to test, and nobody does: fatal in CI
)

func (rule Rule) verdict(h *Harness) (verdict, string) {
	if !h.Want.Features.Has(rule.features) {
		return doesNotApply, fmt.Sprintf("Want.Features does not claim %v", rule.features)
	}
	if h.Want.Guarantee < rule.guarantee {
		return doesNotApply, fmt.Sprintf("Want.Guarantee is less than %v", rule.guarantee)
	}
	if rule.tokens && h.Want.Tokenless {
		return doesNotApply, "Want says that there are no tokens"
	}
	if why, ok := h.Skip[rule.Name]; ok {
		return skip, "Harness.Skip: " + why
	}
	if rule.hook != "" && !h.hooks()[rule.hook] {
		if why, ok := h.Lacks[rule.hook]; ok {
			return doesNotApply, "Harness.Lacks " + rule.hook + ": " + why
		}
		return skip, "Harness." + rule.hook + " is nil"
	}
	return run, ""
}

// fixture is what a rule works with. Its methods fail the rule when the backend does
// not do the obvious, so that a rule spells out only what it is about.
type fixture struct {
	*recorder
	h     *Harness
	rnd   *mathrand.Rand // for the rule's own goroutine
	ttl   time.Duration  // short: it will run out
	long  time.Duration  // outlasts the rule, unless it is evicted
	slack time.Duration
	keys  int
	tag   string // keeps keys apart from those of other rules and runs

	losses sync.Map // attempt to error, as told to Request.Lost
}

func newFixture(rec *recorder, h *Harness, rule Rule) *fixture {
	sum := fnv.New64a()
	sum.Write([]byte(rule.Name))
	return &fixture{
		recorder: rec,
		h:        h,
		rnd:      mathrand.New(mathrand.NewPCG(h.Seed, sum.Sum64())),
		ttl:      h.TTL,
		long:     min(h.Want.MaxTTL, ruleTimeout(h).Round(time.Millisecond)),
		slack:    h.Slack,
		tag:      rule.Name + "/" + rand.Text()[:10],
	}
}

// client returns a client of its own, closed when the rule ends.
func (r *fixture) client() driver.Backend {
	b := r.h.New(r.recorder)
	r.Cleanup(func() {
		if err := b.Close(); err != nil {
			r.Logf("Close: %v", err)
		}
	})
	return b
}

func (r *fixture) clients() (a, b driver.Backend) { return r.client(), r.client() }

// key returns a key that nobody has used.
func (r *fixture) key() string {
	r.keys++
	return fmt.Sprintf("%s/%d", r.tag, r.keys)
}

// request asks for a long lease as a new attempt.
func (r *fixture) request(key string) driver.Request {
	attemptID := newAttemptID()
	return driver.Request{
		Key: key, AttemptID: attemptID, Identity: r.Name(), TTL: r.long,
		Lost: func(why error) { r.losses.Store(attemptID, why) },
	}
}

func newAttemptID() string { return rand.Text() }

// within returns a context that outlasts anything a working backend does.
func (r *fixture) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.Context(), d)
	r.Cleanup(cancel)
	return ctx
}

func (r *fixture) soon() context.Context { return r.within(r.slack) }

// ends is when a grant may end on the server, and not sooner.
func ends(g driver.Grant) time.Time { return g.Start.Add(g.TTL) }
