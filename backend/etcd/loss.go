package etcd

import (
	"slices"

	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// evicted notes that an operator has deleted a claim, at a revision.
func (b *backend) evicted(s *session.Session, attemptID string, revision int64) {
	if !b.registry.evicted(s, attemptID, revision) {
		b.recheck(s)
	}
}

// evicted tells the holder. If the attempt does not hold yet, a call of Acquire that is about to grant it
// notices. A request that was to make the claim again makes nothing: the eviction has written to the epoch
// key. A claim that was made after that is another. evicted returns false if the session has attempts of that
// ID on several keys, of which one was evicted.
func (r *registry) evicted(s *session.Session, attemptID string, revision int64) bool {
	var held *attempt
	n := 0
	r.mu.Lock()
	for a := range r.ledger.WithID(attemptID) {
		switch {
		case a.session != s || a.revision > revision:
			continue
		case a.Phase() == attempts.Asking:
			a.revision = 0
		default:
			held = a
		}
		n++
	}
	r.mu.Unlock()
	if n == 1 && held != nil {
		r.forget(held, driver.ErrEvicted)
	}
	return n < 2
}

// recheck asks whether what a session holds is still there, and tells the holders of what is not.
func (b *backend) recheck(s *session.Session) {
	for some := range slices.Chunk(b.registry.held(s), maxCheck) {
		if _, err := b.check(b.conn.Closing(), s, some); err != nil {
			return // the next renewal tells
		}
	}
}

func (r *registry) held(s *session.Session) (held []renewal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a := range r.ledger.All() {
		if a.session == s && a.Phase() == attempts.Held {
			held = append(held, renewal{attempt: a})
		}
	}
	return held
}

// inUse reports whether a session has a claim, or may have one.
func (r *registry) inUse(s *session.Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a := range r.ledger.All() {
		if a.session == s {
			return true
		}
	}
	return false
}

// died notes that a lease has ended, and with it every claim.
func (b *backend) died(s *session.Session, why error) {
	if n := b.registry.loseAll(s, why); n > 0 && !b.conn.Closed() {
		b.conn.Contact.Warn("a lease with etcd has ended, and with it its locks and its positions in queues", "claims", n, "err", why)
	}
}

// loseAll forgets the attempts of a session that has died, and tells the holders. It returns how many. Calls
// of Acquire notice the end by themselves, and the core asks again: for a fresh attempt, at the end of the
// queue.
func (r *registry) loseAll(s *session.Session, why error) (n int) {
	var tell []func(error)
	r.mu.Lock()
	for a := range r.ledger.All() {
		if a.session != s {
			continue
		}
		if lost := r.forgetLocked(a); lost != nil {
			tell = append(tell, lost)
		}
	}
	r.mu.Unlock()
	for _, lost := range tell {
		lost(why)
	}
	return len(tell)
}
