package redis

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
	"github.com/fencelock/fencelock/fencing"
)

// registry knows the attempts of this client that ask, wait or hold. Its mutex guards them, too.
type registry struct {
	mu sync.Mutex
	attempts.Ledger[*attempt]
}

// attempt is an attempt to lock. It is the Handle of its grant.
type attempt struct {
	attempts.Attempt
	part // what it asks the server; it does not change

	token    fencing.Token   // of its grant
	notified int             // how many notifications have come
	noted    fencing.Token   // the greatest of those that told of a grant
	waits    []chan struct{} // of each Acquire that waits: a notification has come; capacity 1
}

// enter begins an Acquire. It returns how many notifications have come so far.
func (r *registry) enter(req driver.Request, p part) (a *attempt, notified int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, err = r.Enter(req, &attempt{part: p})
	if err != nil {
		return nil, 0, err
	}
	return a, a.notified, nil
}

// await returns a channel on which an Acquire hears of notifications: all that came after the first so many.
func (r *registry) await(a *attempt, notified int) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	wake := make(chan struct{}, 1)
	if a.notified != notified {
		wake <- struct{}{}
	}
	a.waits = append(a.waits, wake)
	return wake
}

// leave ends an Acquire. An attempt that was not granted is forgotten with its last Acquire: the server
// forgets by itself a waiter that does not ask, and an attempt that comes back says so (Retry).
func (r *registry) leave(a *attempt, wake chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wake != nil {
		a.waits = slices.DeleteFunc(a.waits, func(c chan struct{}) bool { return c == wake })
	}
	a.Sent = false
	r.Leave(a, time.Time{})
}

// granted is the greatest token of which a notification to an attempt has told; 0 if none has.
func (r *registry) granted(a *attempt) fencing.Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	return a.noted
}

// noAnswer notes that a request of an attempt may still be under way.
func (r *registry) noAnswer(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Late = true
}

// release keeps an attempt out from now on. It returns the attempt, if this client has made it,
// and the token of its grant, and reports whether the server has to keep it out, too.
func (r *registry) release(g driver.Grant) (a *attempt, token fencing.Token, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, late = r.Release(g)
	if a != nil {
		token = a.token
		r.Forget(a) // what is left of it on the server ends, at the latest with its TTL; g has it as its Handle
	}
	return a, token, late
}

// renewed notes what the server has said of grants, and returns what tells holders that theirs is gone. One
// that was told so before has none, whatever the server said. After a Release, which the server may have
// refused, what it said counts.
func (r *registry) renewed(grants []driver.Grant, answers []driver.Renewal) (lost []func(why error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, g := range grants {
		a, answer := r.Of(g), &answers[i]
		switch {
		case a == nil || a.Phase() == attempts.Asking: // another client's
		case errors.Is(answer.Err, driver.ErrNotHeld):
			if tell := r.Forget(a); tell != nil {
				lost = append(lost, tell)
			}
		case answer.Err == nil && !r.Extend(a, answer.Start.Add(answer.TTL)) && !a.ReleaseEndsGrant():
			*answer = driver.Renewal{Err: driver.ErrNotHeld}
		}
	}
	return lost
}

// notify notes a notification, and wakes each Acquire that waits. The token is that of a grant of which it
// tells, or 0 if it only says that it is time to ask. Called with the registry's mutex held.
func (a *attempt) notify(token fencing.Token) {
	a.notified++
	a.noted = max(a.noted, token)
	for _, wake := range a.waits {
		select {
		case wake <- struct{}{}:
		default: // it will look soon
		}
	}
}
