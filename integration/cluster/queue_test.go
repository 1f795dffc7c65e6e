package cluster_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// queue are attempts that all wait for one lock, in the server's queue. Each that gets it holds it for a moment, releases it, and
// goes to the end of the queue with another attempt.
type queue struct {
	backend driver.Backend
	key     string
	cancel  context.CancelFunc
	waiting sync.WaitGroup

	mu      sync.Mutex
	ending  bool
	holder  string // an attempt
	token   fencing.Token
	grants  int
	order   []string // of the first turn
	last    time.Time
	longest time.Duration // from a release to the next grant
}

// queueTTL is longer than any test: nobody renews, and waiters ask each ten minutes only.
const queueTTL = 30 * time.Minute

// startQueue returns when n attempts wait, in their order, behind one that holds the lock until the hold is over.
func startQueue(t *testing.T, b driver.Backend, key string, n int) (q *queue, begin func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	q = &queue{backend: b, key: key, cancel: cancel, last: time.Now()}
	t.Cleanup(func() { cancel(); q.waiting.Wait() })
	first := q.request("holder")
	held, err := b.Acquire(ctx, first)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	q.token = held.Token
	for i := range n {
		name := fmt.Sprint("waiter", i)
		q.order = append(q.order, name)
		waits := make(chan struct{})
		q.waiting.Go(func() { q.turns(ctx, t, name, sync.OnceFunc(func() { close(waits) })) })
		locktest.Await(t, locktest.Soon, name+" waits", waits)
	}
	return q, func() {
		if err := b.Release(ctx, held); err != nil {
			t.Errorf("Release: %v", err)
		}
	}
}

func (q *queue) request(name string) driver.Request {
	return driver.Request{Key: q.key, AttemptID: name + "-" + rand.Text(), TTL: queueTTL, Wait: true}
}

func (q *queue) turns(ctx context.Context, t *testing.T, name string, waits func()) {
	for !q.isEnding() {
		req := q.request(name)
		req.Waiting = waits
		got, err := q.backend.Acquire(ctx, req)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("%s: Acquire: %v", name, err)
			}
			return
		}
		q.enter(t, name, got.Token)
		time.Sleep(time.Millisecond)
		q.leave()
		if err := q.backend.Release(ctx, got); err != nil && ctx.Err() == nil {
			t.Errorf("%s: Release: %v", name, err)
		}
	}
}

// enter wants nobody to be there, the token to be the greatest, and the order of the queue to be kept for a turn.
func (q *queue) enter(t *testing.T, name string, token fencing.Token) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.longest = max(q.longest, time.Since(q.last))
	if q.holder != "" {
		t.Errorf("%s has the lock, and so does %s", name, q.holder)
	}
	if token <= q.token {
		t.Errorf("%s has token %v, and the one before had %v", name, token, q.token)
	}
	if q.grants < len(q.order) && q.order[q.grants] != name {
		t.Errorf("%s has the lock, want %s", name, q.order[q.grants])
	}
	q.holder, q.token = name, token
	q.grants++
}

func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holder, q.last = "", time.Now()
}

// reset returns the longest hand-off until now, and how many there were, and begins to measure again.
func (q *queue) reset() (longest time.Duration, grants int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	longest, grants = q.longest, q.grants
	if q.holder == "" {
		longest = max(longest, time.Since(q.last))
	}
	q.longest, q.last = 0, time.Now()
	return longest, grants
}

// end returns when all that wait have had their turn.
func (q *queue) end(t *testing.T) {
	t.Helper()
	q.mu.Lock()
	q.ending = true
	q.mu.Unlock()
	done := make(chan struct{})
	go func() { q.waiting.Wait(); close(done) }()
	locktest.Await(t, 2*locktest.Soon, "all that wait have had their turn", done)
}

func (q *queue) isEnding() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ending
}
