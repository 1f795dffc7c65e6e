package etcd

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// TestPredecessors: which deletions make a claim the first of its lock, without another read.
func TestPredecessors(t *testing.T) {
	const ttl = time.Hour
	type deletion struct {
		name     string
		revision int64
		known    bool // it was one of the predecessors
	}
	for name, c := range map[string]struct {
		claims []predecessor
		more   bool
		told   []deletion
		age    time.Duration
		want   bool
	}{
		"the only one went":          {claims: []predecessor{{"a", 5}}, told: []deletion{{"a", 8, true}}, want: true},
		"both went":                  {claims: []predecessor{{"b", 6}, {"a", 5}}, told: []deletion{{"a", 8, true}, {"b", 9, true}}, want: true},
		"both, told the other way":   {claims: []predecessor{{"b", 6}, {"a", 5}}, told: []deletion{{"b", 9, true}, {"a", 8, true}}, want: true},
		"nobody went":                {claims: []predecessor{{"a", 5}}},
		"the next gave up":           {claims: []predecessor{{"b", 6}, {"a", 5}}, told: []deletion{{"b", 8, true}}},
		"the holder went":            {claims: []predecessor{{"b", 6}, {"a", 5}}, told: []deletion{{"a", 8, true}}},
		"those that are known, of 3": {claims: []predecessor{{"c", 7}, {"b", 6}}, more: true, told: []deletion{{"b", 8, true}, {"c", 9, true}}},
		"another":                    {claims: []predecessor{{"a", 5}}, told: []deletion{{"b", 8, false}}},
		"an earlier one of its name": {claims: []predecessor{{"a", 5}}, told: []deletion{{"a", 3, false}}},
		"told twice":                 {claims: []predecessor{{"b", 6}, {"a", 5}}, told: []deletion{{"a", 8, true}, {"a", 8, false}}},
		"long ago":                   {claims: []predecessor{{"a", 5}}, told: []deletion{{"a", 8, true}}, age: maxReadAge},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			p := predecessors{claims: c.claims, more: c.more, readAt: now.Add(-c.age)}
			for _, d := range c.told {
				if got := p.removed(d.name, d.revision); got != d.known {
					t.Errorf("removed(%s, %d) = %v", d.name, d.revision, got)
				}
			}
			if got := p.empty(now, ttl); got != c.want {
				t.Errorf("empty() = %v, want %v", got, c.want)
			}
			if p.empty(now, 12*c.age) {
				t.Errorf("with a TTL of %v a read of %v ago is recent", 12*c.age, c.age)
			}
		})
	}
}

// TestIsNext: what the answer to a client's own deletion of a claim tells of the one claim behind it.
func TestIsNext(t *testing.T) {
	const made = 10 // the revision that made the later claim
	for name, c := range map[string]struct {
		prev      attempt
		ending    bool          // prev is being released
		forgotten bool          // and is deleted, which is told in a moment
		settle    time.Duration // after which the deletion has an outcome; 0: it has one, or none begins
		deletedAt int64         // the outcome
		gone      bool          // the later claim was evicted meanwhile
		giveUp    bool          // the caller's context has ended
		want      bool
		atLeast   time.Duration
	}{
		"it holds on":                {prev: attempt{revision: 5}},
		"it was deleted after":       {prev: attempt{revision: 5, deletionKnown: true, deletedAt: 11}, ending: true, want: true},
		"it was deleted before":      {prev: attempt{revision: 5, deletionKnown: true, deletedAt: 9}, ending: true},
		"its deletion has failed":    {prev: attempt{revision: 5, deletionKnown: true}, ending: true},
		"it is deleted soon":         {prev: attempt{revision: 5}, ending: true, settle: deletionWait / 2, deletedAt: 11, want: true, atLeast: deletionWait / 2},
		"nobody knows whether it is": {prev: attempt{revision: 5}, ending: true, settle: deletionWait / 2, atLeast: deletionWait / 2},
		"it is deleted late":         {prev: attempt{revision: 5}, ending: true, settle: 2 * deletionWait, deletedAt: 11, atLeast: deletionWait},
		"it is about to be told":     {prev: attempt{revision: 5}, ending: true, forgotten: true, settle: deletionWait / 2, deletedAt: 11, want: true, atLeast: deletionWait / 2},
		"nobody waits any more":      {prev: attempt{revision: 5}, ending: true, settle: deletionWait / 2, deletedAt: 11, giveUp: true},
		"evicted meanwhile":          {prev: attempt{revision: 5}, ending: true, settle: deletionWait / 2, deletedAt: 11, gone: true, atLeast: deletionWait / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, later, prev := new(registry), &attempt{revision: made}, &c.prev
				if _, err := r.ledger.Enter(driver.Request{Key: "k", AttemptID: "prev"}, prev); err != nil {
					t.Fatal(err)
				}
				if c.ending {
					r.ledger.Release(driver.Grant{Key: "k", AttemptID: "prev"})
				}
				if c.forgotten { // as delete does, a moment before it tells
					r.forget(prev, nil)
				}
				if c.settle > 0 {
					time.AfterFunc(c.settle, func() {
						if c.gone {
							r.mu.Lock()
							later.revision = 0
							r.mu.Unlock()
						}
						r.recordDeletion(prev, c.deletedAt)
					})
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.giveUp {
					cancel()
				}
				began := time.Now()
				if got := (&queue{registry: r}).isNext(ctx, later, prev); got != c.want {
					t.Errorf("isNext() = %v, want %v", got, c.want)
				}
				if took := time.Since(began); took != c.atLeast {
					t.Errorf("it took %v, want %v", took, c.atLeast)
				}
				time.Sleep(2 * deletionWait) // until the deletion is over, in the bubble's time
			})
		})
	}
}
