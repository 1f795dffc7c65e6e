package zookeeper

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

const (
	// watchAfter is how long a lock is held before a watch is set for its loss. Short locks,
	// which are most, never pay for a watch; Renew comes later than this.
	watchAfter = 150 * time.Millisecond

	// retryPause is the pause after something that keepAlive does has failed.
	retryPause = 250 * time.Millisecond

	// maxWatchRequests and maxDeletions bound what keepAlive does at a time.
	maxWatchRequests = 16
	maxDeletions     = 64

	// idleSleep is how long keepAlive sleeps if there is nothing to do.
	idleSleep = time.Hour
)

// keepAlive is what a session does for its attempts, on one goroutine. A session lives as long as
// its process says so, whatever happens to a lease. So keepAlive ends single attempts:
//
//   - A grant that was not renewed in time is deleted, when its TTL is over by our own clock and
//     not before.
//   - A position in the queue that nobody has asked about for a TTL is deleted, too.
//   - A deletion that failed is repeated until the server confirms it.
//   - A grant that lasts gets a watch for its loss.
//   - While there are waiters, the session is confirmed now and then. So a waiter has a recent
//     Start when its turn comes, and need not ask the server then.
//
// It never waits for the server itself.
func (s *session) keepAlive() {
	defer s.alarm.Stop()
	for s.alive() {
		s.doDue()
		select {
		case <-s.alarm.C:
		case <-s.wakeups:
		case <-s.dead:
		case <-s.backend.closing.Done():
			return
		}
	}
}

// scheduleLocked has keepAlive look at an attempt at the given time. It does not wake keepAlive
// up for that unless the time is before the next alarm: most locks are released long before they
// are looked at. Call with mu held.
func (s *session) scheduleLocked(a *attempt, due time.Time) {
	s.due.put(a, due)
	if due.Before(s.wakeAt) {
		s.alarmLocked(due)
	}
}

func (s *session) alarmLocked(at time.Time) {
	s.wakeAt = at
	s.alarm.Reset(time.Until(at))
}

// wake has keepAlive confirm the session from now on, since an attempt waits. It does nothing if
// keepAlive does so already. An attempt that need not wait is not worth it.
func (s *session) wake() {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	if time.Until(s.wakeAt) > s.ttl()/4 {
		s.wakeLocked()
	}
}

func (s *session) wakeLocked() {
	select {
	case s.wakeups <- struct{}{}:
	default:
	}
}

// doDue does what is due, and sets the alarm for what is next.
func (s *session) doDue() {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	var toWatch []*attempt
	for a := s.due.next(); a != nil && !a.due.After(now); a = s.due.next() {
		s.due.remove(a)
		switch end := a.Expires(); {
		case a.Phase() == attempts.Ending:
			s.deleteLocked(a)
		case a.Phase() == attempts.Asking && a.Calls() > 0: // leave schedules it again
		case !now.Before(end):
			b.endLocked(a)
			s.deleteLocked(a)
		case a.Phase() == attempts.Held && a.watched == 0 && s.settingWatches:
			s.due.put(a, earlier(now.Add(retryPause), end))
		default:
			if a.Phase() == attempts.Held && a.watched == 0 {
				toWatch = append(toWatch, a)
			}
			s.due.put(a, end)
		}
	}
	if len(toWatch) > 0 && !b.closed {
		s.settingWatches = true
		b.startLocked(func() error { s.watchLosses(toWatch); return nil })
	}
	s.alarmLocked(now.Add(s.nextLocked(now)))
}

// nextLocked returns for how long there is nothing to do. Call with mu held.
func (s *session) nextLocked(now time.Time) time.Duration {
	sleep := idleSleep
	if a := s.due.next(); a != nil {
		sleep = min(sleep, a.due.Sub(now))
	}
	if s.waiters > 0 {
		every := s.ttl() / 4
		if left := s.confirmed.Add(every).Sub(now); left > 0 {
			sleep = min(sleep, left)
		} else {
			if s.underway == nil {
				s.joinBarrierLocked()
			}
			sleep = min(sleep, max(every/4, time.Millisecond))
		}
	}
	return max(sleep, 0)
}

// deleteLocked has the node of an attempt that is leaving deleted: now or, if too many deletions
// are under way, soon. Call with mu held.
func (s *session) deleteLocked(a *attempt) {
	if a.removing != nil {
		return // if that fails, it will be due again
	}
	if s.deletions >= maxDeletions {
		s.due.put(a, time.Now().Add(10*time.Millisecond))
		return
	}
	s.deletions++
	t := s.backend.removeLocked(a)
	s.backend.startLocked(func() error {
		<-t.done
		s.backend.mu.Lock()
		defer s.backend.mu.Unlock()
		s.deletions--
		return nil
	})
}

// watchLosses sets watches for the loss of grants, a few at a time.
func (s *session) watchLosses(all []*attempt) {
	b := s.backend
	var workers sync.WaitGroup
	work := make(chan *attempt, len(all))
	for _, a := range all {
		work <- a
	}
	close(work)
	for range min(maxWatchRequests, len(all)) {
		workers.Go(func() {
			for a := range work {
				_ = s.watchLoss(b.closing, a)
			}
		})
	}
	workers.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.settingWatches = false
}

// watchLoss sets the watch for the loss of one grant. If the node is gone already the grant is
// lost, unless it was released meanwhile.
func (s *session) watchLoss(ctx context.Context, a *attempt) error {
	b := s.backend
	b.mu.Lock()
	if a.Phase() != attempts.Held {
		b.mu.Unlock()
		return nil
	}
	path, timeout := a.path(), driver.RequestTimeout(a.TTL)
	b.mu.Unlock()
	w, err := s.watch(ctx, path, a, timeout)
	if errors.Is(err, zk.ErrNoNode) {
		b.lose(a, errNodeGone)
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case a.Phase() != attempts.Held:
	case err == nil && !w.hasFired():
		a.watched = w.proven
	default:
		a.watched = 0
		s.scheduleLocked(a, earlier(time.Now().Add(retryPause), a.Expires()))
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// dueHeap has the attempts that keepAlive is to look at, the next on top. Its methods are called
// with backend.mu held.
type dueHeap struct{ attempts attemptHeap }

// put adds an attempt, or moves it.
func (h *dueHeap) put(a *attempt, due time.Time) {
	a.due = due
	if a.index < 0 {
		heap.Push(&h.attempts, a)
		return
	}
	heap.Fix(&h.attempts, a.index)
}

func (h *dueHeap) remove(a *attempt) {
	if a.index >= 0 {
		heap.Remove(&h.attempts, a.index)
	}
}

// next returns the attempt that is due first, or nil.
func (h *dueHeap) next() *attempt {
	if len(h.attempts) == 0 {
		return nil
	}
	return h.attempts[0]
}

type attemptHeap []*attempt

func (h attemptHeap) Len() int { return len(h) }

func (h attemptHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h attemptHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *attemptHeap) Push(x any) {
	a := x.(*attempt)
	a.index = len(*h)
	*h = append(*h, a)
}

func (h *attemptHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.index = -1
	return a
}
