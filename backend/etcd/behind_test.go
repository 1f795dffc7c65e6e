package etcd

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestFollows: what a client's own deletion of the one claim before another tells of that.
func TestFollows(t *testing.T) {
	const made = 10 // the revision that made the later claim
	for name, c := range map[string]struct {
		before  claim
		settle  time.Duration // after which the deletion has an outcome; 0: it has one, or none begins
		left    int64         // the outcome
		gone    bool          // the later claim was evicted meanwhile
		giveUp  bool          // the caller's context has ended
		want    bool
		atLeast time.Duration
	}{
		"it holds on":                {before: claim{revision: 5}},
		"it was deleted after":       {before: claim{revision: 5, ending: true, settled: true, left: 11}, want: true},
		"it was deleted before":      {before: claim{revision: 5, ending: true, settled: true, left: 9}},
		"its deletion has failed":    {before: claim{revision: 5, ending: true, settled: true}},
		"it is deleted soon":         {before: claim{revision: 5, ending: true}, settle: settling / 2, left: 11, want: true, atLeast: settling / 2},
		"nobody knows whether it is": {before: claim{revision: 5, ending: true}, settle: settling / 2, atLeast: settling / 2},
		"it is deleted late":         {before: claim{revision: 5, ending: true}, settle: 2 * settling, left: 11, atLeast: settling},
		"nobody waits any more":      {before: claim{revision: 5, ending: true}, settle: settling / 2, left: 11, giveUp: true},
		"evicted meanwhile":          {before: claim{revision: 5, ending: true}, settle: settling / 2, left: 11, gone: true, atLeast: settling / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, later, before := &backend{}, &claim{revision: made}, c.before
				if c.settle > 0 {
					time.AfterFunc(c.settle, func() {
						if c.gone {
							b.mu.Lock()
							later.revision = 0
							b.mu.Unlock()
						}
						b.settle(&before, c.left)
					})
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.giveUp {
					cancel()
				}
				began := time.Now()
				if got := b.follows(ctx, later, &before); got != c.want {
					t.Errorf("follows() = %v, want %v", got, c.want)
				}
				if took := time.Since(began); took != c.atLeast {
					t.Errorf("it took %v, want %v", took, c.atLeast)
				}
				time.Sleep(2 * settling) // until the deletion is over, in the bubble's time
			})
		})
	}
}
