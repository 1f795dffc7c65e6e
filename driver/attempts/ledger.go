package attempts

import (
	"iter"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Entry is a backend's own type of attempt: a pointer to a struct in which an [Attempt] is embedded.
type Entry interface {
	comparable
	entry
}

// Ledger is what one client knows of its attempts. It holds to these rules of the contract, whatever the
// server does:
//
//   - All calls of one attempt share one entry: it is idempotent [RetryReturnsSameGrant].
//   - An attempt is granted once. After that grant, or after a Release, it stays out
//     [ReleasedAttemptStaysOut]. Release by the AttemptID alone is enough [ReleaseByAttempt].
//   - Its holder is told of a loss once, and never of one that is not certain [LostIsNoRumour] or that the
//     holder has brought about.
//
// An attempt that is not in the ledger has nothing on the server that this client could have made, unless
// it was made by a request that is late.
//
// The zero value is empty. A Ledger must not be copied after its first use. It has no lock: the backend's
// guards it, and with it the [Attempt] of each entry. Calls have happened in the order in which they got
// that lock: of Grant and Release, say, the first wins, and the other finds what it left.
type Ledger[A Entry] struct {
	byID       map[string]A // by AttemptID: the first of a list of those on different keys, mostly of one
	tombstones Tombstones[ID]
}

// Enter begins a call of Acquire. It returns the entry of the request's attempt: fresh, with its [Attempt]
// filled in, if there was none. Each Enter without an error is followed by one Leave. The error is that of
// [Attempt.Err] for an attempt that is over.
//
// A request with Retry set makes the attempt Sent and Late: an earlier call had no answer.
func (l *Ledger[A]) Enter(req driver.Request, fresh A) (A, error) {
	var nobody A
	id := ID{req.Key, req.AttemptID}
	a := l.Find(id)
	switch {
	case a != nobody && a.base().phase >= Ending:
		return nobody, a.base().Err()
	case a == nobody && l.tombstones.Has(id):
		return nobody, driver.ErrReleased
	case a == nobody:
		a = fresh
		*a.base() = Attempt{ID: id, TTL: req.TTL, ledger: &l.tombstones}
		l.add(a)
	}
	b := a.base()
	b.calls++
	if req.Retry {
		b.Sent, b.Late = true, true
	}
	if req.Lost != nil {
		b.lost = req.Lost
	}
	return a, nil
}

// Leave ends a call of Acquire. If it was the last, and no grant was handed out, the attempt is forgotten
// if nothing of it is on the server (see [Attempt].Sent), and expires at the given time otherwise: until
// then it may be asked for again. The zero time stands for never. It does not matter here whether a
// request is late: the next call says Retry, and Release says late of an attempt that it does not know.
func (l *Ledger[A]) Leave(a A, expires time.Time) {
	b := a.base()
	b.calls--
	switch {
	case b.calls > 0 || b.phase != Asking:
	case b.Sent:
		b.expires = expires
	default:
		l.Forget(a)
	}
}

// Grant hands out the grant of an attempt: for a TTL from start, with the attempt's entry as its Handle.
// It is the last step of Acquire. An attempt that is held gets its grant again, if the token is the same.
// With another token it gets ErrReleased: its grant is gone, though nobody may have noticed yet.
//
// Grant against Release, or what else ends the attempt: if that was first, Grant returns the attempt's Err,
// and the caller of Acquire has no grant; if Grant was first, the other finds a grant.
func (l *Ledger[A]) Grant(a A, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error) {
	b := a.base()
	switch {
	case b.phase >= Ending:
		return driver.Grant{}, b.Err()
	case b.phase == Held && b.token != token:
		return driver.Grant{}, driver.ErrReleased
	}
	if b.phase == Asking {
		b.phase, b.granted, b.token = Held, true, token
		b.expires = time.Time{} // what Leave had set: from here on the lease decides
	}
	b.extend(start.Add(ttl))
	return driver.Grant{Key: b.Key, AttemptID: b.AttemptID, Token: token, Start: start, TTL: ttl, Handle: a}, nil
}

// Extend notes that the lease of an attempt lasts until a time; an earlier one than is known changes
// nothing. It reports false if the attempt is not held any more: whatever the server said, the holder has
// no lock.
func (l *Ledger[A]) Extend(a A, expires time.Time) bool {
	b := a.base()
	if b.phase != Held {
		return false
	}
	b.extend(expires)
	return true
}

func (a *Attempt) extend(expires time.Time) {
	if expires.After(a.expires) {
		a.expires = expires
	}
}

// Release notes that the caller gives an attempt up, and returns its entry; the zero A if this client has
// none. late says that a request which makes something of the attempt may still be carried out: the server
// must keep the attempt out, or that request must be undone. From here on no call of the attempt is granted.
//
// The entry that is returned is in the phase Ending, or Gone if the attempt was lost before, or an earlier
// Release has ended it (g then has it as its Handle). If it was held, and nothing is late, no call is left
// that could ask for it again, and it needs no tombstone.
func (l *Ledger[A]) Release(g driver.Grant) (a A, late bool) {
	var nobody A
	id := ID{g.Key, g.AttemptID}
	if a = l.Of(g); a == nobody {
		l.tombstones.Add(id)
		return nobody, true
	}
	b := a.base()
	if b.phase == Held {
		b.grantEnds = true
	}
	b.released = true
	b.phase = max(b.phase, Ending)
	late = b.Late || b.calls > 0
	if late || !b.grantEnds {
		l.tombstones.Add(id) // a call may come that was made before
	}
	return a, late
}

// End notes that the backend itself ends an attempt: one that is overdue, or that will not wait.
func (l *Ledger[A]) End(a A) {
	b := a.base()
	b.phase = max(b.phase, Ending)
}

// Forget notes that nothing of an attempt is on the server, for certain, and forgets it. It returns what
// tells the holder, to be called without the lock; nil if nobody is to be told, since the attempt was not
// held, or is being ended. It may be called again, and then does nothing.
func (l *Ledger[A]) Forget(a A) (lost func(why error)) {
	b := a.base()
	if b.phase == Gone {
		return nil
	}
	if b.phase == Held {
		lost = b.lost
	}
	b.phase = Gone
	l.remove(a)
	if b.granted && !b.released {
		l.tombstones.Add(b.ID) // its caller may not know that it is over
	}
	return lost
}

// Find returns the entry of an attempt; the zero A if there is none.
func (l *Ledger[A]) Find(id ID) A {
	a, ok := l.byID[id.AttemptID]
	for ok && a.base().Key != id.Key {
		a, ok = a.base().nextWithID.(A)
	}
	return a // the zero A if !ok
}

// Of returns the entry of a grant. If this ledger has handed the grant out, that is the grant's Handle, also
// when the ledger has forgotten it; otherwise it is the one that Find returns.
func (l *Ledger[A]) Of(g driver.Grant) A {
	id := ID{g.Key, g.AttemptID}
	if a, ok := g.Handle.(A); ok && a.base().ledger == &l.tombstones && a.base().ID == id {
		return a
	}
	return l.Find(id)
}

// WithID yields the attempts of an AttemptID, which are on different keys; mostly there is one. The loop may
// forget the one that it has.
func (l *Ledger[A]) WithID(attemptID string) iter.Seq[A] {
	return func(yield func(A) bool) {
		a, ok := l.byID[attemptID]
		for ok {
			next := a.base().nextWithID
			if !yield(a) {
				return
			}
			a, ok = next.(A)
		}
	}
}

// All yields all attempts, in no order. The loop may forget the one that it has.
func (l *Ledger[A]) All() iter.Seq[A] {
	return func(yield func(A) bool) {
		for id := range l.byID {
			for a := range l.WithID(id) {
				if !yield(a) {
					return
				}
			}
		}
	}
}

func (l *Ledger[A]) add(a A) {
	if l.byID == nil {
		l.byID = make(map[string]A)
	}
	b := a.base()
	if other, ok := l.byID[b.AttemptID]; ok {
		b.nextWithID = other
	}
	l.byID[b.AttemptID] = a
}

func (l *Ledger[A]) remove(a A) {
	b := a.base()
	if first := l.byID[b.AttemptID]; first != a {
		before := first.base()
		for before.nextWithID.(A) != a {
			before = before.nextWithID.base()
		}
		before.nextWithID = b.nextWithID
	} else if next, ok := b.nextWithID.(A); ok {
		l.byID[b.AttemptID] = next
	} else {
		delete(l.byID, b.AttemptID)
	}
	b.nextWithID = nil // a Handle keeps a, and need not keep the others
}
