package zookeeper

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver/address"
	"github.com/fencelock/fencelock/driver/attempts"
)

const (
	// watchAfter is how long a lock is held before a watch is set for its loss. Short locks,
	// which are most, never pay for a watch; Renew comes later than this.
	watchAfter = 150 * time.Millisecond

	// retryPause is the pause after a watch could not be set.
	retryPause = 250 * time.Millisecond

	// maxWatchRequests and maxDeletions bound what is done at a time.
	maxWatchRequests = 12
	maxDeletions     = 64

	// idle is for how long there is nothing to do, if there is nothing.
	idle = time.Hour
)

// leases are a session, and what this client does for the attempts in it without being asked. A
// session lives as long as its process says so, whatever happens to a lease. So Look ends single
// attempts:
//
//   - A grant that was not renewed in time is deleted, when its TTL is over by our own clock and
//     not before.
//   - A position in the queue that nobody has asked about for a TTL is deleted, too.
//   - A deletion that failed is repeated until the server confirms it.
//   - A grant that lasts gets a watch for its loss.
type leases struct {
	*session.Session
	claims  *claims
	contact *address.Contact

	// Guarded by registry.mu.
	due            dueHeap
	deletions      int // that Look has begun
	settingWatches bool
}

var _ session.Keeper = (*leases)(nil)

// Died is called when the session is dead.
func (l *leases) Died() {
	if n := l.claims.loseAll(l); n > 0 {
		l.contact.Warn("the session with ZooKeeper has expired, and with it its locks and its positions in queues", "claims", n)
	}
}

// Holds reports whether a grant must outlive the connection, since Close does not release.
func (l *leases) Holds() bool { return l.claims.holds(l) }

// Changed is called when an attempt's node was deleted or written to. If somebody has written to it
// who is not the holder, then somebody has evicted the holder, in one transaction, or has meddled.
// Setting the watch again shows which.
func (l *leases) Changed(holder any, deleted bool) {
	a := holder.(*attempt)
	if deleted {
		l.claims.lose(a, errNodeGone)
		return
	}
	l.claims.mu.Lock()
	defer l.claims.mu.Unlock()
	if a.watched = 0; a.Phase() < attempts.Gone {
		l.scheduleLocked(a, time.Now())
	}
}

// scheduleLocked has Look look at an attempt at the given time. It does not wake it
// up for that unless the time is before the next look: most locks are released long before they
// are looked at. Call with registry.mu held.
func (l *leases) scheduleLocked(a *attempt, due time.Time) {
	l.due.put(a, due)
	l.LookAt(due)
}

// Look does what is due, and returns for how long there is nothing to do.
func (l *leases) Look() time.Duration {
	c := l.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	var toWatch []*attempt
	for a := l.due.next(); a != nil && !a.due.After(now); a = l.due.next() {
		l.due.remove(a)
		switch end := a.Expires(); {
		case a.Phase() == attempts.Ending:
			l.deleteLocked(a)
		case a.Phase() == attempts.Asking && a.Calls() > 0: // leave schedules it again
		case !now.Before(end):
			c.endLocked(a)
			l.deleteLocked(a)
		case a.Phase() == attempts.Held && a.watched == 0 && l.settingWatches:
			l.due.put(a, earlier(now.Add(retryPause), end))
		default:
			if a.Phase() == attempts.Held && a.watched == 0 {
				toWatch = append(toWatch, a)
			}
			l.due.put(a, end)
		}
	}
	if len(toWatch) > 0 && !c.closed {
		l.settingWatches = true
		l.Start(func() error { l.watchLosses(toWatch); return nil })
	}
	if a := l.due.next(); a != nil {
		return max(a.due.Sub(now), 0)
	}
	return idle
}

// deleteLocked has the node of an attempt that is ending deleted: now or, if too many deletions
// are under way, soon. Call with registry.mu held.
func (l *leases) deleteLocked(a *attempt) {
	if a.removing != nil {
		return // if that fails, it will be due again
	}
	if l.deletions >= maxDeletions {
		l.due.put(a, time.Now().Add(10*time.Millisecond))
		return
	}
	l.deletions++
	t := l.claims.removeLocked(a)
	l.Start(func() error {
		_ = t.Wait()
		l.claims.mu.Lock()
		defer l.claims.mu.Unlock()
		l.deletions--
		return nil
	})
}

// watchLosses sets watches for the loss of grants, a few at a time.
func (l *leases) watchLosses(all []*attempt) {
	var workers sync.WaitGroup
	work := make(chan *attempt, len(all))
	for _, a := range all {
		work <- a
	}
	close(work)
	for range min(maxWatchRequests, len(all)) {
		workers.Go(func() {
			for a := range work {
				_ = l.watchLoss(l.claims.pool.Closing, a)
			}
		})
	}
	workers.Wait()
	l.claims.mu.Lock()
	defer l.claims.mu.Unlock()
	l.settingWatches = false
}

// watchLoss sets the watch for the loss of one grant. If the node is gone already the grant is
// lost, unless it was released meanwhile.
func (l *leases) watchLoss(ctx context.Context, a *attempt) error {
	mu := &l.claims.mu
	mu.Lock()
	if a.Phase() != attempts.Held {
		mu.Unlock()
		return nil
	}
	path := a.claim
	mu.Unlock()
	w, err := l.Watch(ctx, path, a, a.timeout())
	if errors.Is(err, zk.ErrNoNode) {
		l.claims.lose(a, errNodeGone)
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	switch {
	case a.Phase() != attempts.Held:
	case err == nil && !w.HasFired():
		a.watched = w.Proven()
	default:
		a.watched = 0
		l.scheduleLocked(a, earlier(time.Now().Add(retryPause), a.Expires()))
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
