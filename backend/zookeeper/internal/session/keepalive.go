package session

import (
	"sync"
	"time"
)

// idleSleep is how long a session sleeps if there is nothing to do.
const idleSleep = time.Hour

// keepAlive has the Keeper do what is due. While anybody waits, it has the session confirmed now
// and then; so a waiter has a recent Start when its turn comes, and need not ask the server then.
// It never waits for the server itself.
func (s *Session) keepAlive() {
	defer s.alarm.timer.Stop()
	for s.Alive() {
		s.alarm.clear()
		s.alarm.ring(time.Now().Add(min(s.keeper.Look(), s.keepConfirmed(s.TTL()/4))))
		select {
		case <-s.alarm.timer.C:
		case <-s.dead:
		case <-s.pool.Closing.Done():
			return
		}
	}
}

// LookAt has the Keeper asked at a time. It does nothing if the Keeper is asked before.
func (s *Session) LookAt(at time.Time) { s.alarm.ring(at) }

// Waiters notes that more of those who use the session wait, or fewer.
func (s *Session) Waiters(more int) {
	s.addWaiters(more)
	if more > 0 && s.alarm.left() > s.TTL()/4 {
		s.alarm.ring(time.Now())
	}
}

// alarm wakes up a session. It only ever rings too early: what comes while the session looks around
// is not lost.
type alarm struct {
	timer *time.Timer

	mu sync.Mutex
	at time.Time // when it rings, at the latest
}

// clear begins again, with nothing to do.
func (a *alarm) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = time.Now().Add(idleSleep)
	a.timer.Reset(idleSleep)
}

// ring has the alarm ring at a time, unless it does so before.
func (a *alarm) ring(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.Before(a.at) {
		a.at = at
		a.timer.Reset(time.Until(at))
	}
}

func (a *alarm) left() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Until(a.at)
}
