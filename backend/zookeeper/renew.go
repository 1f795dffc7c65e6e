package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// Renew sends one barrier for each session, however many grants it has. When that is
// answered, the session was alive, and the loss of each grant that is watched has been
// told, if it was before. Grants that are not watched yet are looked at one by one, by
// setting the watch.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	attempts := make([]*attempt, len(grants))
	bySession := make(map[*session][]int)
	b.mu.Lock()
	now := time.Now()
	for i, g := range grants {
		a := b.attempts[attemptKey{g.Key, g.AttemptID}]
		switch {
		case b.closed:
			out[i].Err = errClosed
		case a == nil || a.phase != held:
			out[i].Err = driver.ErrNotHeld
		case !now.Before(a.ends()):
			// It ran out before this call, and the keeper is about to notice.
			a.session.scheduleLocked(a, now)
			out[i].Err = driver.ErrNotHeld
		default:
			attempts[i] = a
			bySession[a.session] = append(bySession[a.session], i)
		}
	}
	b.mu.Unlock()
	var sessions sync.WaitGroup
	for s, indexes := range bySession {
		sessions.Go(func() { b.renew(ctx, s, attempts, indexes, out) })
	}
	sessions.Wait()
	return out
}

// renew renews the grants of one session.
//
// Watches that are missing are set at the same time as the barrier is sent, so that the first
// renewal of a lease takes one round trip, not two. In either order the answers prove the
// same: a deletion between the two is told by the watch, before the barrier is answered; and
// a watch that is set behind the barrier finds the node, or not. What was set on another
// connection than is there in the end is set once more.
func (b *backend) renew(ctx context.Context, s *session, attempts []*attempt, indexes []int, out []driver.Renewal) {
	timeout := driver.RequestTimeout(s.ttl())
	early := make(chan struct{})
	go func() {
		defer close(early)
		if s.link != nil {
			b.watchUnwatched(ctx, s, attempts, indexes, make([]driver.Renewal, len(out)))
		}
	}()
	err := s.barrier(ctx, timeout)
	<-early // it has no more time than the barrier
	if !s.alive() {
		err = fmt.Errorf("%w: %w", driver.ErrNotHeld, errSessionEnded)
	} else if err != nil {
		err = classify(ctx, err)
	}
	if err == nil {
		b.watchUnwatched(ctx, s, attempts, indexes, out)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range indexes {
		a := attempts[i]
		switch {
		case a.phase != held:
			// Evicted, released or run out, whichever was first under the lock.
			out[i].Err = driver.ErrNotHeld
		case err != nil:
			out[i].Err = err
		case out[i].Err != nil:
		default:
			a.start = s.confirmed
			out[i].Start, out[i].TTL = a.start, a.lease()
		}
	}
}

// armUnwatched sets the watches that are missing, and notes why it could not. On an
// application's connection the event of a watch may come after the answer, so there
// each grant is looked at, each time.
func (b *backend) watchUnwatched(ctx context.Context, s *session, attempts []*attempt, indexes []int, out []driver.Renewal) {
	b.mu.Lock()
	work := make(chan int, len(indexes))
	for _, i := range indexes {
		if attempts[i].watched != s.connectionCount || s.link == nil {
			work <- i
		}
	}
	b.mu.Unlock()
	close(work)
	var workers sync.WaitGroup
	for range min(maxWatchRequests, len(work)) {
		workers.Go(func() {
			for i := range work {
				if err := b.confirmNode(ctx, s, attempts[i]); err != nil && !errors.Is(err, zk.ErrNoNode) {
					out[i].Err = classify(ctx, err)
				}
			}
		})
	}
	workers.Wait()
}

func (b *backend) confirmNode(ctx context.Context, s *session, a *attempt) error {
	if s.link != nil {
		return s.watchLoss(ctx, a)
	}
	return b.nodeGone(a, s.await(ctx, b.start(func() error { return b.verifyNode(a, a.path()) }), driver.RequestTimeout(a.ttl)))
}
