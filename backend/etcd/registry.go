package etcd

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
	"github.com/fencelock/fencelock/fencing"
)

// attempt is what the backend knows of an attempt to lock, from its first request
// until its claim is known to be gone from the server. It is Grant.Handle. What the ledger has of it, and
// the fields below the first empty line, are guarded by registry.mu.
type attempt struct {
	attempts.Attempt
	session  *session.Session
	name     string // of its claim on the server
	identity string // as driver.JoinIdentity has it

	revision  int64 // that created the claim, and the token; 0 while unknown
	abandoned bool  // the release has failed, or the attempt was overdue: the sweep goes on

	// The outcome of the deletion of the claim; see isNext.
	deletionKnown bool
	deletedAt     int64         // the revision at which we deleted it; 0 if not known
	onDeletion    chan struct{} // closed when deletionKnown is set; nil if nobody waits for it
}

// value is that of the claim on the server. It is not kept: a client may hold a hundred thousand.
func (a *attempt) value() string { return claimValue(a.AttemptID, a.identity) }

var errClaimGone = fmt.Errorf("%w: etcd: the claim is gone from the server", driver.ErrUnavailable)

// registry has what this client knows of its attempts, and of their claims. It sends nothing: calls tell it
// what they are about to send, and what they have seen. Its mutex puts in order what meets there.
type registry struct {
	ns namespace

	mu     sync.Mutex
	ledger attempts.Ledger[*attempt]
	names  map[string]*attempt // those of the ledger by the names of their claims
}

// enter finds or makes the attempt for a call of Acquire. A fresh one gets a session, and ends with it.
//
// Enter against the end of the session: if the attempt enters first, loseAll finds it. If the session is dead
// by then, loseAll may have been there already, so the attempt is forgotten here.
func (r *registry) enter(req driver.Request, s *session.Session) (*attempt, error) {
	r.mu.Lock()
	fresh := &attempt{session: s, identity: driver.JoinIdentity(req.Identity, req.Meta)}
	a, err := r.ledger.Enter(req, fresh)
	if a == fresh {
		first := r.ns.firstName(a.Key, s.EpochKey)
		a.name = first
		for n := 1; r.names[a.name] != nil; n++ { // no other claim has it
			a.name = nextName(first, n)
		}
		r.names[a.name] = a
	}
	r.mu.Unlock()
	if err == nil && a.session.IsDead() {
		r.forget(a, session.ErrForgotten)
		r.leave(a)
		return nil, session.ErrGone
	}
	return a, err
}

// leave ends a call of Acquire. A claim that nobody waits for any more, and nobody
// releases, is kept for one more TTL, in case its attempt asks again.
func (r *registry) leave(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.Leave(a, time.Now().Add(a.session.TTL))
	if a.Phase() == attempts.Gone {
		r.forgetLocked(a)
	}
}

// sending notes that a request is about to be sent that makes the claim. None is if the attempt is over, or
// held.
func (r *registry) sending(a *attempt) (held bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := a.Err(); err != nil {
		return false, err
	}
	a.Sent = true
	return a.Phase() == attempts.Held, nil
}

// look returns the revision of the claim, 0 while it is unknown; whether the claim may be on the server; and
// whether a request that makes it may be late.
func (r *registry) look(a *attempt) (revision int64, sent, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return a.revision, a.Sent, a.Late
}

// failed notes that a request has not made the claim, or that it may have, where it was not answered.
func (r *registry) failed(a *attempt, answered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Late = a.Late || !answered
	a.Sent = a.Late || a.Calls() > 1 // there is a claim only if another request makes it
}

// sawClaim notes the revision of the claim on the server. Where two calls of an attempt are under way, the
// claim of the one may have been granted, and be gone, when the other makes the next. The grant goes on to be
// that of the first, or its holder would never be told; and Release has to look for another.
func (r *registry) sawClaim(a *attempt, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case a.Phase() == attempts.Asking:
		a.revision = revision
	case a.revision != revision:
		a.Late = true
	}
}

// sawNoClaim notes that the claim of a revision is gone from the server, and returns the error for its call
// of Acquire. Where that call had asked for the claim, and another call has made the next one meanwhile, this
// says nothing of that.
func (r *registry) sawNoClaim(a *attempt, revision int64) error {
	r.mu.Lock()
	if a.revision != revision {
		defer r.mu.Unlock()
		return cmp.Or(a.Err(), errClaimGone)
	}
	err, held := a.Err(), a.Phase() == attempts.Held
	if err == nil && !held {
		a.revision, err = 0, errClaimGone // Acquire may make it again, at the end of the queue
	}
	r.mu.Unlock()
	if held {
		r.forget(a, session.ErrForgotten)
		return driver.ErrReleased
	}
	return err
}

// grant makes the Grant of an attempt that has the first claim of its lock.
//
// Grant against Release, and against the end of the session: if that was first, the ledger says so, and
// Release deletes the claim; if it comes later it finds a grant, whose holder is told of the end.
func (r *registry) grant(a *attempt, start time.Time) (driver.Grant, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.revision == 0 && a.Err() == nil {
		return driver.Grant{}, errClaimGone
	}
	return r.ledger.Grant(a, fencing.Token(a.revision), start, a.session.TTL)
}

// release notes that an attempt is given up. It returns nil if this client knows nothing of it.
func (r *registry) release(g driver.Grant) (a *attempt, late, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, late = r.ledger.Release(g)
	return a, late, a != nil && a.Phase() == attempts.Gone
}

// abandon leaves an attempt whose release has failed to the sweep.
func (r *registry) abandon(a *attempt) {
	r.mu.Lock()
	a.abandoned = true
	r.mu.Unlock()
	a.session.Wake()
}

// overdue returns what is to be swept of a session's attempts: grants that were not
// renewed, positions in queues where nobody waits any more, and what could not be released.
// An attempt that is being released, without a failure yet, is left to Release.
func (r *registry) overdue(s *session.Session, now time.Time) (all []*attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a := range r.ledger.All() {
		if a.session == s && (a.Overdue(now) || a.abandoned && a.Calls() == 0) {
			r.ledger.End(a) // a call that comes from here on is refused
			a.abandoned = true
			all = append(all, a)
		}
	}
	return all
}

// deleted notes that the claim is not on the server any more, and returns the outcome for Release. there says
// whether it was until now.
func (r *registry) deleted(a *attempt, there bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(a) // nobody is told: this client has ended it
	if !there || !a.ReleaseEndsGrant() {
		return driver.ErrNotHeld
	}
	return nil
}

// recordDeletion notes the outcome of the deletion of a claim: the revision at which it was
// deleted, or 0 if it was not there, or that is not known.
func (r *registry) recordDeletion(a *attempt, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.deletedAt, a.deletionKnown = revision, true
	if a.onDeletion != nil {
		close(a.onDeletion)
		a.onDeletion = nil
	}
}

// forget forgets an attempt of which nothing is on the server, for certain, and tells the
// holder, unless the holder knows it, having released the lock.
func (r *registry) forget(a *attempt, why error) {
	r.mu.Lock()
	lost := r.forgetLocked(a)
	r.mu.Unlock()
	if lost != nil {
		lost(why)
	}
}

// lose does so for a grant whose claim is gone. An attempt that asks, or is being released, is left to the
// calls that do so: a request that makes its claim may still come.
func (r *registry) lose(a *attempt, why error) {
	r.mu.Lock()
	var lost func(error)
	if a.Phase() == attempts.Held {
		lost = r.forgetLocked(a)
	}
	r.mu.Unlock()
	if lost != nil {
		lost(why)
	}
}

// forgetLocked gives the name of the claim to others, and returns the function that tells the holder, or nil.
// Called with mu held.
func (r *registry) forgetLocked(a *attempt) (lost func(error)) {
	if r.names[a.name] == a {
		delete(r.names, a.name)
	}
	return r.ledger.Forget(a)
}
