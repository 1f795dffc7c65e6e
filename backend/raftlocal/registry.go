package raftlocal

import (
	"time"

	"github.com/fencelock/fencelock/driver/attempts"
)

// registry is the ledger of attempts, and which of them have a claim in the cluster, as far as is known. It
// is guarded by backend.mu: all methods are called with that held.
type registry struct {
	ledger  attempts.Ledger[*attempt]
	numbers map[uint64]*attempt   // those that have a claim
	queued  map[*attempt]struct{} // those of them that wait
	planned time.Time             // when keep looks next
	wake    chan struct{}         // has an element when keep must look
}

func newRegistry() registry {
	return registry{
		numbers: make(map[uint64]*attempt), queued: make(map[*attempt]struct{}),
		planned: time.Now().Add(sweeping), wake: make(chan struct{}, 1),
	}
}

// know notes the number of an attempt's claim. If it had another, that has ended.
func (r *registry) know(a *attempt, number uint64) {
	if old := a.number[0]; old != number {
		delete(r.numbers, old)
		// A command with the old number may be on its way, and is encoded when it is sent.
		a.number = [1]uint64{number}
		a.claim, a.token = unknown, 0
	}
	r.numbers[number] = a
}

// hold notes that a claim holds the lock, and that the TTL counts from start at the earliest.
func (r *registry) hold(a *attempt, token uint64, start time.Time) {
	if a.Phase() == attempts.Gone || a.claim == holding {
		return
	}
	if a.claim == unknown {
		a.start = start
	}
	a.claim, a.token = holding, token
	r.unqueue(a)
}

// queue notes that a claim waits, and did when a request sent at start was carried out. If
// that was long ago, a push may have been missed since. It returns whom to tell, without mu.
func (r *registry) queue(a *attempt, start time.Time, longAgo bool) (confirmed func()) {
	if a.Phase() == attempts.Gone || a.claim == holding {
		return nil
	}
	if a.claim == unknown || start.After(a.start) {
		a.start = start
	}
	a.claim = queued
	a.urgent = longAgo
	r.queued[a] = struct{}{}
	r.plan(a.due())
	return a.waiting // also then: the cluster has answered now
}

// unqueue notes that a claim waits no longer.
func (r *registry) unqueue(a *attempt) {
	delete(r.queued, a)
	if a.turn != nil {
		close(a.turn)
		a.turn = nil
	}
}

// forget notes that an attempt's claim has ended. It returns whom to tell, without mu.
//
// Loss against release: if the release was first, the ledger has the attempt as Ending, and nobody is told.
// If the loss was first, it is a true one, and Release finds nothing to end.
func (r *registry) forget(a *attempt) (lost func(why error)) {
	if r.numbers[a.number[0]] == a {
		delete(r.numbers, a.number[0])
	}
	a.claim = unknown
	r.unqueue(a)
	return r.ledger.Forget(a)
}

// sweep forgets attempts that the cluster has forgotten. It is memory that is freed here, and nothing
// decided. The cluster's clock stands while nobody leads, so the claim of such an attempt may still be there:
// no holder is told, for whom the lease has long been over by our clock, and what is still asked about it is
// asked of the cluster.
func (r *registry) sweep(now time.Time) {
	for a := range r.ledger.All() {
		if a.forgotten(now) {
			a.swept = true
			_ = r.forget(a) // see above
		}
	}
}

// plan sees to it that keep looks at a time, or earlier.
func (r *registry) plan(at time.Time) {
	if !at.Before(r.planned) {
		return
	}
	r.planned = at
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}
