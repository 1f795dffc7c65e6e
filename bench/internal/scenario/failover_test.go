package scenario

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// fragile is a hall that can be closed for a time.
type fragile struct {
	*hall
	open chan struct{} // closed while it is open
}

func (f *fragile) Lock(ctx context.Context, key string) (contest.Held, error) {
	f.mu.Lock()
	open := f.open
	f.mu.Unlock()
	select {
	case <-open:
		return f.hall.Lock(ctx, key)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestFailoverIsTheTimeWithoutAGrant(t *testing.T) {
	for _, members := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			f := &fragile{&hall{keys: map[string]chan struct{}{}}, make(chan struct{})}
			close(f.open)
			e := newEnv()
			e.Contestants = []contest.Contestant{{Name: "ours", Open: func(context.Context, contest.Options) (contest.Client, error) { return f, nil }}}
			const dying, down = 50 * time.Millisecond, 700 * time.Millisecond
			restarts := 0
			e.Failure = &Failure{Members: members, Kill: func(context.Context, contest.Contestant) (func(context.Context) error, error) {
				open := make(chan struct{})
				f.mu.Lock()
				f.open = open
				f.mu.Unlock()
				time.Sleep(dying)
				back := time.AfterFunc(down, func() { close(open) }) // the others elect one
				return func(context.Context) error {
					restarts++
					if members == 1 && !back.Stop() {
						t.Error("it was restarted late")
					} else if members == 1 {
						time.Sleep(down)
						close(open)
					}
					return nil
				}, nil
			}}
			failover(t.Context(), e)
			got := time.Duration(e.median(Failover, FailoverCase(members), "ours", FailoverGap))
			if got < down || got > down+dying+time.Millisecond {
				t.Errorf("%d members: no grant for %v, want %v; notes: %+v", members, got, down+dying, e.Run.Notes)
			}
			if restarts != 1 {
				t.Errorf("%d members: %d restarts, want 1", members, restarts)
			}
		})
	}
}
