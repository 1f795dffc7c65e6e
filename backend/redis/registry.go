package redis

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// registry knows the attempts of this client that ask, wait or hold. Its mutex guards them, too.
type registry struct {
	mu sync.Mutex
	attempts.Ledger[*attempt]
}

// attempt is an attempt to lock. It is the Handle of its grant.
type attempt struct {
	attempts.Attempt

	identity string        // what driver.JoinIdentity has made
	token    string        // of the grant
	events   []chan string // of each Acquire that waits: the token that was granted, or recheck; capacity 2
}

// recheck is the event that a notification may have been lost: ask the server.
const recheck = ""

// enter begins an Acquire. If it waits, it has a channel for events.
func (r *registry) enter(req driver.Request) (a *attempt, events chan string, err error) {
	if req.Wait {
		events = make(chan string, 2)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a, err = r.Enter(req, new(attempt))
	if err == nil && a.identity == "" {
		a.identity = driver.JoinIdentity(req.Identity, req.Meta)
	}
	if err == nil && events != nil {
		a.events = append(a.events, events)
	}
	return a, events, err
}

// leave ends it. An attempt that was not granted is forgotten with its last Acquire: the server forgets by
// itself a waiter that does not ask, and an attempt that comes back says so (Retry).
func (r *registry) leave(a *attempt, events chan string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if events != nil {
		a.events = slices.DeleteFunc(a.events, func(c chan string) bool { return c == events })
	}
	a.Sent = false
	r.Leave(a, time.Time{})
}

// noAnswer notes that a request of an attempt may still be under way.
func (r *registry) noAnswer(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Late = true
}

// release keeps an attempt out from now on. It returns the attempt, if this client has made it, and reports
// whether the server has to keep it out, too.
func (r *registry) release(g driver.Grant) (a *attempt, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, late = r.Release(g)
	if a != nil {
		r.Forget(a) // what is left of it on the server ends, at the latest with its TTL; g has it as its Handle
	}
	return a, late
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

// notify leaves an event for each Acquire that waits. One that has two events already needs no third: it will
// ask soon.
func (a *attempt) notify(event string) {
	for _, events := range a.events {
		select {
		case events <- event:
		default:
		}
	}
}

// grantedToken returns the token of a notification that has come, if one has. None comes on a nil channel.
func grantedToken(events <-chan string) (token string, ok bool) {
	for {
		select {
		case token = <-events:
			if token != recheck {
				return token, true
			}
		default:
			return "", false
		}
	}
}
