package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// Renew sends one barrier for each session, however many grants it has. Once that is answered,
// the session was alive, and the loss of each grant that has a watch has been told, if it came
// before. A grant without a watch is looked at by setting one.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	all := make([]*attempt, len(grants))
	bySession := make(map[*leases][]int)
	b.mu.Lock()
	now := time.Now()
	for i, g := range grants {
		a := b.ledger.Of(g)
		switch {
		case b.closed:
			out[i].Err = session.ErrClosed
		case a == nil || a.Phase() != attempts.Held:
			out[i].Err = driver.ErrNotHeld
		case !now.Before(a.Expires()):
			// It ran out before this call, and Look is about to notice.
			a.leases.scheduleLocked(a, now)
			out[i].Err = driver.ErrNotHeld
		default:
			all[i] = a
			bySession[a.leases] = append(bySession[a.leases], i)
		}
	}
	b.mu.Unlock()
	var sessions sync.WaitGroup
	for s, indexes := range bySession {
		sessions.Go(func() { b.renew(ctx, s, all, indexes, out) })
	}
	sessions.Wait()
	return out
}

// renew renews the grants of one session.
//
// It sets missing watches at the same time as it sends the barrier, so that the first renewal of
// a lease takes one round trip, not two. The answers prove the same in either order. A deletion
// that falls between the two is told by the watch, before the barrier is answered. A watch that
// is set after the barrier finds the node, or does not. A watch that was set on another
// connection than there is in the end is set once more.
func (b *backend) renew(ctx context.Context, s *leases, all []*attempt, indexes []int, out []driver.Renewal) {
	timeout := driver.RequestTimeout(s.TTL())
	early := make(chan struct{})
	go func() {
		defer close(early)
		b.watchUnwatched(ctx, s, all, indexes, make([]driver.Renewal, len(out)))
	}()
	err := s.Barrier(ctx, timeout)
	<-early // it has no more time than the barrier
	if !s.Alive() {
		err = fmt.Errorf("%w: %w", driver.ErrNotHeld, errSessionEnded)
	} else if err != nil {
		err = session.Classify(ctx, err)
	}
	if err == nil {
		b.watchUnwatched(ctx, s, all, indexes, out)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	start, ttl := s.Confirmed(), s.TTL()
	for _, i := range indexes {
		a := all[i]
		switch {
		case a.Phase() != attempts.Held:
			// Evicted, released or run out, whichever was first under registry.mu.
			out[i].Err = driver.ErrNotHeld
		case err != nil:
			out[i].Err = err
		case out[i].Err != nil:
		default:
			b.ledger.Extend(a, start.Add(ttl))
			out[i].Start, out[i].TTL = start, ttl
		}
	}
}

// watchUnwatched sets the watches that are missing, and notes why it could not.
func (b *backend) watchUnwatched(ctx context.Context, s *leases, all []*attempt, indexes []int, out []driver.Renewal) {
	b.mu.Lock()
	connection := s.Connection()
	work := make(chan int, len(indexes))
	for _, i := range indexes {
		if all[i].watched != connection {
			work <- i
		}
	}
	b.mu.Unlock()
	close(work)
	var workers sync.WaitGroup
	for range min(maxWatchRequests, len(work)) {
		workers.Go(func() {
			for i := range work {
				if err := s.watchLoss(ctx, all[i]); err != nil && !errors.Is(err, zk.ErrNoNode) {
					out[i].Err = session.Classify(ctx, err)
				}
			}
		})
	}
	workers.Wait()
}
