package scenario

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
)

// FailoverLate is how much longer than the bare client a contestant had no grant, in the same failure.
const FailoverLate = "ms after the bare client"

const (
	takeoverRounds = 5

	// takeoverPause leaves the machine idle enough for all contestants at once: with eight callers each still has a grant
	// every one or two milliseconds.
	takeoverPause = 10 * time.Millisecond

	warmLimit     = 15 * time.Second
	takeoverLimit = 15 * time.Second // far more than the servers need
)

// Takeover is one way to lose one of several servers, of which another takes the place.
type Takeover struct {
	Case string
	// Bare does nothing but ask the servers where to write, and write there. It has no grant for as long as the
	// servers by themselves need.
	Bare contest.Contestant
	// Victim chooses the server that a round loses.
	Victim func(ctx context.Context, round int) (Victim, error)
}

// Victim is a server that is to be lost.
type Victim struct {
	Has  func(key string) bool
	Fail func() error
	Mend func(ctx context.Context) error // returns when as many servers as before are well
}

// needs tells whether the victim has more than half of the keys of a lock, so that it is lost with it.
func (v Victim) needs(c contest.Contestant, key string) bool {
	keys := []string{key}
	if c.Keys != nil {
		keys = c.Keys(key)
	}
	has := 0
	for _, k := range keys {
		if v.Has(k) {
			has++
		}
	}
	return has > len(keys)/2
}

// takeovers have all contestants meet the same failure at once, and the bare client with them: how long the servers need
// differs more from one failure to the next than the contestants do within one.
func (e *Env) takeovers(ctx context.Context) {
	for _, o := range e.Takeovers {
		t := table{e, Failover, o.Case, 1}
		all := append(e.lockers(), o.Bare)
		rounds := cmp.Or(e.Rounds, takeoverRounds)
		for round := range rounds {
			if ctx.Err() != nil {
				return
			}
			fmt.Fprintf(e.Progress, "%s, %s: round %d of %d\n", t.scenario, t.name, round+1, rounds)
			out, err := t.takeover(ctx, o, round, all)
			if err != nil {
				if ctx.Err() == nil {
					t.note(e.Contestants[0].Name, true, "the servers failed in round %d: %v", round+1, err)
				}
				break
			}
			all = slices.DeleteFunc(all, func(c contest.Contestant) bool { return slices.Contains(out, c.Name) })
		}
	}
}

// part is one contestant while a server is lost.
type part struct {
	contest.Contestant
	outage

	client  contest.Client
	callers sync.WaitGroup
	failed  error
}

// takeover returns the names of those that are to take part in no further round.
func (t table) takeover(ctx context.Context, o Takeover, round int, all []contest.Contestant) (out []string, err error) {
	victim, err := o.Victim(ctx, round)
	if err != nil {
		return nil, err
	}
	calling, stop := context.WithCancel(ctx)
	parts := make([]*part, len(all))
	defer func() {
		stop()
		for _, p := range parts {
			p.end()
		}
	}()
	for i, c := range all {
		parts[i] = &part{Contestant: c}
		parts[i].begin(calling, t.env, victim, fmt.Sprintf("bench/takeover/%s/%d", c.Name, round))
	}
	t.each(ctx, parts, warmLimit, func(p *part) <-chan struct{} { return p.warm }, "before the failure")
	if err := victim.Fail(); err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p.failed == nil {
			p.outage.failed()
		}
	}
	t.each(ctx, parts, takeoverLimit, func(p *part) <-chan struct{} { return p.well }, "after the failure")
	now := time.Now()
	stop()
	if err := victim.Mend(ctx); err != nil {
		return nil, err
	}
	if bare := parts[len(parts)-1]; bare.failed != nil {
		return nil, fmt.Errorf("%s: %w", bare.Name, bare.failed)
	}
	return t.addTakeover(parts, round, now), nil
}

// begin opens the client and has its callers call.
func (p *part) begin(ctx context.Context, e *Env, v Victim, keys string) {
	p.outage = outage{
		pause: takeoverPause, wants: func(key string) bool { return v.needs(p.Contestant, key) },
		warm: make(chan struct{}), well: make(chan struct{}),
	}
	if p.client, p.failed = openOne(ctx, p.Contestant, contest.Options{TTL: e.TTL}); p.failed != nil {
		return
	}
	for i := range failoverCallers {
		p.callers.Go(func() { p.call(ctx, p.client, fmt.Sprintf("%s/%d", keys, i)) })
	}
}

func (p *part) end() {
	p.callers.Wait()
	if p.client != nil {
		_ = p.client.Close()
	}
}

// each waits for all contestants together.
func (t table) each(ctx context.Context, parts []*part, limit time.Duration, done func(*part) <-chan struct{}, when string) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, p := range parts {
		if p.failed != nil {
			continue
		}
		_ = await(limited, done(p))
		select {
		case <-done(p): // also when another has used up the time
		default:
			p.failed = fmt.Errorf("too few grants for %s %s", limit, when)
		}
	}
}

// addTakeover records the figures of all to whom it has happened: of those that did not come back, how long it was waited
// for them.
func (t table) addTakeover(parts []*part, round int, now time.Time) (out []string) {
	bare := parts[len(parts)-1]
	least := bare.gap(now)
	for _, p := range parts {
		gap := p.gap(now)
		if gap > 0 {
			t.add(p.Name, FailoverGap, report.Nanoseconds, round, float64(gap))
		}
		if gap > 0 && p != bare {
			t.add(p.Name, FailoverLate, report.Plain, round, float64(gap-least)/float64(time.Millisecond))
		}
		if p.failed != nil {
			out = append(out, p.Name)
			t.note(p.Name, true, "left out after round %d: %v", round+1, p.failed)
		}
	}
	return out
}

// gap is the time without a grant, so far if it has not ended; 0 when nothing has failed, or there was no grant before.
func (o *outage) gap(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !o.dead || o.grants == 0:
		return 0
	case o.since < grantsAfter:
		return max(o.longest, now.Sub(o.last))
	default:
		return o.longest
	}
}
