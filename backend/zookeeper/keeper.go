package zookeeper

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

const (
	// settled is how long a lock is held before its loss is watched for. Short locks,
	// which are most, never pay for it; Renew comes later than this.
	settled = 150 * time.Millisecond

	// again is the pause after something that the keeper does has failed.
	again = 250 * time.Millisecond

	// armers and sweepers bound what the keeper does at a time.
	armers   = 16
	sweepers = 64

	// idle is how long the keeper sleeps if there is nothing to do.
	idle = time.Hour

	// glance is how often the session of an application's connection is looked at.
	glance = 250 * time.Millisecond
)

// keep is what a session does for its claims, on one goroutine. A session lives as
// long as its process says so, whatever happens to a lease; so what ends a single
// claim is done here:
//
//   - a grant that was not renewed in time is deleted, when its TTL is over by our own
//     clock and not before;
//   - so is a place in the queue that nobody has asked about for a TTL;
//   - what could not be deleted is tried again until the server confirms;
//   - a grant that lasts gets a watch for its loss;
//   - while there are waiters, the session is confirmed now and then, so that a waiter
//     has a recent Start when its turn comes, and need not ask then.
//
// It never waits for the server itself.
func (s *session) keep() {
	defer s.alarm.Stop()
	for s.alive() {
		s.round()
		select {
		case <-s.alarm.C:
		case <-s.wake:
		case <-s.dead:
		case <-s.backend.closing.Done():
			return
		}
	}
}

// scheduleLocked has the keeper look at a claim at the given time. It does not wake up
// for that: most locks are released long before they are looked at. Call with mu held.
func (s *session) scheduleLocked(c *claim, due time.Time) {
	s.agenda.put(c, due)
	if due.Before(s.wakeAt) {
		s.alarmLocked(due)
	}
}

func (s *session) alarmLocked(at time.Time) {
	s.wakeAt = at
	s.alarm.Reset(time.Until(at))
}

// stir has the keeper confirm the session from now on, if it does not yet: there is a
// claim that waits. One that need not wait is not worth it.
func (s *session) stir() {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	if time.Until(s.wakeAt) > s.ttl()/4 {
		s.wakeLocked()
	}
}

func (s *session) wakeLocked() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// round does what is due, and sets the alarm for what is next.
func (s *session) round() {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	var toArm []*claim
	for c := s.agenda.next(); c != nil && !c.due.After(now); c = s.agenda.next() {
		s.agenda.remove(c)
		switch end := c.ends(); {
		case c.phase == held && !now.Before(end):
			s.moveLocked(c, leaving)
			s.sweepLocked(c)
		case c.phase == held && c.watched == 0 && s.arming:
			s.agenda.put(c, earlier(now.Add(again), end))
		case c.phase == held:
			if c.watched == 0 {
				toArm = append(toArm, c)
			}
			s.agenda.put(c, end)
		case c.phase < held && c.callers == 0:
			if end := c.quiet.Add(c.lease()); now.Before(end) {
				s.agenda.put(c, end)
				continue
			}
			s.moveLocked(c, leaving)
			s.sweepLocked(c)
		case c.phase == leaving:
			s.sweepLocked(c)
		}
	}
	if len(toArm) > 0 && !b.closed {
		s.arming = true
		b.startLocked(func() error { s.armAll(toArm); return nil })
	}
	s.alarmLocked(now.Add(s.nextLocked(now)))
}

// nextLocked says how long there is nothing to do.
func (s *session) nextLocked(now time.Time) time.Duration {
	sleep := idle
	if s.link == nil {
		sleep = glance
	}
	if c := s.agenda.next(); c != nil {
		sleep = min(sleep, c.due.Sub(now))
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

// sweepLocked has the node of a claim deleted that is to leave, now or, if too many
// are being deleted, soon.
func (s *session) sweepLocked(c *claim) {
	if c.removing != nil {
		return // if that fails, it will be on the agenda again
	}
	if s.sweeping >= sweepers {
		s.agenda.put(c, time.Now().Add(10*time.Millisecond))
		return
	}
	s.sweeping++
	t := s.backend.removeLocked(c)
	s.backend.startLocked(func() error {
		<-t.done
		s.backend.mu.Lock()
		defer s.backend.mu.Unlock()
		s.sweeping--
		return nil
	})
}

// armAll sets watches for the loss of grants, a few at a time.
func (s *session) armAll(claims []*claim) {
	b := s.backend
	var workers sync.WaitGroup
	work := make(chan *claim, len(claims))
	for _, c := range claims {
		work <- c
	}
	close(work)
	for range min(armers, len(claims)) {
		workers.Go(func() {
			for c := range work {
				_ = s.arm(b.closing, c)
			}
		})
	}
	workers.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.arming = false
}

// arm sets the watch for the loss of one grant. A node that is gone already is a
// loss, unless it was released meanwhile.
func (s *session) arm(ctx context.Context, c *claim) error {
	b := s.backend
	b.mu.Lock()
	if c.phase != held {
		b.mu.Unlock()
		return nil
	}
	path, timeout := c.path(), driver.RequestTimeout(c.ttl)
	b.mu.Unlock()
	w, err := s.watch(ctx, path, c, timeout)
	if errors.Is(err, zk.ErrNoNode) {
		b.lose(c, errNodeGone)
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case c.phase != held:
	case err == nil && !w.hasFired():
		c.watched = w.proven
	default:
		c.watched = 0
		s.scheduleLocked(c, earlier(time.Now().Add(again), c.ends()))
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
