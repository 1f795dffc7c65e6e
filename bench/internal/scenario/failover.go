package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
)

const (
	failoverCallers = 8

	// grantsBefore is how many there are before the failure, and grantsAfter how many until all is well again: each caller
	// may have had one on its way.
	grantsBefore = 50 * failoverCallers
	grantsAfter  = 2 * failoverCallers

	// releaseLimit ends the release of a lock that nobody answers. No other caller wants that lock.
	releaseLimit = 5 * time.Second
)

// FailoverGap is from the last grant before the failure to the first one after it.
const FailoverGap = "no grant for"

// Failure is how a server, or the one of several that leads, is made to fail.
type Failure struct {
	Members int // of a cluster; 1 is a server by itself
	// Kill ends it without a word, and returns what starts it again.
	Kill func(ctx context.Context, c contest.Contestant) (restart func(context.Context) error, err error)
}

// FailoverCase names the case of so many members.
func FailoverCase(members int) string {
	if members == 1 {
		return "killed, and started again at once"
	}
	return fmt.Sprintf("leader of %d killed", members)
}

// failover is a few callers, each with keys that nobody else wants, when the server is lost.
func failover(ctx context.Context, e *Env) {
	e.takeovers(ctx)
	if e.Failure == nil {
		return
	}
	t := table{e, Failover, FailoverCase(e.Failure.Members), 4}
	t.rounds(ctx, 8, e.lockers(), func(ctx context.Context, round int, c contest.Contestant) error {
		gap, err := failOver(ctx, e, c, fmt.Sprintf("bench/failover/%s/%d", c.Name, round))
		if err == nil {
			t.add(c.Name, FailoverGap, report.Nanoseconds, round, float64(gap))
		}
		return err
	})
}

func failOver(ctx context.Context, e *Env, c contest.Contestant, keys string) (time.Duration, error) {
	client, err := openOne(ctx, c, contest.Options{TTL: e.TTL})
	if err != nil {
		return 0, err
	}
	defer closeAll([]contest.Client{client})
	o := outage{warm: make(chan struct{}), well: make(chan struct{})}
	calling, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	defer callers.Wait()
	defer stop()
	for i := range failoverCallers {
		callers.Go(func() { o.call(calling, client, fmt.Sprintf("%s/%d", keys, i)) })
	}
	if err := await(ctx, o.warm); err != nil {
		return 0, err
	}
	restart, err := e.Failure.Kill(ctx, c)
	if err != nil {
		return 0, err
	}
	o.failed()
	if e.Failure.Members == 1 {
		if err := restart(ctx); err != nil {
			return 0, err
		}
	}
	err = await(ctx, o.well)
	if e.Failure.Members > 1 { // which did without it
		err = errors.Join(err, restart(ctx))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.longest, err
}

func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// outage is the time without a grant, as the callers see it.
type outage struct {
	pause time.Duration         // of a caller, after each pair
	wants func(key string) bool // whether to lock it; nil: each

	warm, well chan struct{}

	mu      sync.Mutex
	grants  int
	last    time.Time
	dead    bool
	since   int           // grants since then
	longest time.Duration // without a grant, until all was well
}

// call takes and frees locks, each of another name: what becomes of one whose release has failed is not the question.
func (o *outage) call(ctx context.Context, c contest.Client, key string) {
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("%s/%d", key, i)
		if o.wants != nil && !o.wants(key) {
			continue
		}
		held, err := c.Lock(ctx, key)
		if err != nil {
			wait(ctx, time.Millisecond) // it asks again at once, but not all the time
			continue
		}
		o.granted()
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
		_ = held.Release(release)
		cancel()
		if o.pause > 0 {
			wait(ctx, o.pause)
		}
	}
}

func (o *outage) granted() {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead && o.since < grantsAfter {
		o.longest = max(o.longest, now.Sub(o.last))
		if o.since++; o.since == grantsAfter {
			close(o.well)
		}
	}
	o.last = now
	if o.grants++; o.grants == grantsBefore {
		close(o.warm)
	}
}

// failed is called when the server is dead. What is granted after that was on its way, or is of the next.
func (o *outage) failed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead = true
}
