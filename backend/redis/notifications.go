package redis

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// notifications hands what the server publishes to this client to the Acquire calls that wait and to the
// holders of grants. The client has one channel of its own. On it come "granted ATTEMPT TOKEN" and
// "ask ATTEMPT" for an attempt that waits, and "evicted ATTEMPT" for one that holds. Redis delivers a
// message at most once, so nothing relies on a message alone.
type notifications struct {
	backend *backend
	running sync.WaitGroup // recheckHeld

	mu       sync.Mutex
	waiting  map[string]*waiter // by attempt
	held     map[string]held    // by attempt
	rechecks int                // how often recheckHeld has begun
}

// waiter is an Acquire that waits.
type waiter struct {
	events chan string // the token that was granted, or recheck; capacity 2
	older  *waiter     // another Acquire of the same attempt that has not returned yet
}

// recheck is the event that a notification may have been lost: ask the server.
const recheck = ""

// held is a grant whose loss the server may tell.
type held struct {
	key  string
	ttl  time.Duration
	lost func(why error)
}

func newNotifications(b *backend) *notifications {
	return &notifications{backend: b, waiting: make(map[string]*waiter), held: make(map[string]held)}
}

// onMessage handles one message of the channel.
func (n *notifications) onMessage(payload string) {
	verb, rest, _ := strings.Cut(payload, " ")
	attempt, token, _ := strings.Cut(rest, " ")
	n.mu.Lock()
	defer n.mu.Unlock()
	switch verb {
	case "granted":
		// An attempt that is not there has been cancelled; its release is under way.
		n.waiting[attempt].notify(token)
	case "ask": // it has become the first that waits
		n.waiting[attempt].notify(recheck)
	case "evicted":
		if h, ok := n.held[attempt]; ok {
			h.lost(driver.ErrEvicted)
		}
	}
}

// onResubscribe is called when the subscription broke and is back. Messages sent meanwhile are lost, and
// the server may have lost its data: ask about every waiter and every grant.
func (n *notifications) onResubscribe() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.waiting {
		w.notify(recheck)
	}
	n.running.Go(n.recheckHeld)
}

// recheckHeld renews the grants that this client holds, to find out whether they are still there, and
// tells the holders of those that are gone. Otherwise they would learn it with their next renewal, and
// for that long two holders could overlap after a restart of a server without persistence. It asks again
// where it got no answer, since a server that has just come back may not be ready.
func (n *notifications) recheckHeld() {
	n.mu.Lock()
	n.rechecks++
	mine := n.rechecks
	grants := make([]driver.Grant, 0, len(n.held))
	for attempt, h := range n.held {
		grants = append(grants, driver.Grant{Key: h.key, AttemptID: attempt, TTL: h.ttl})
	}
	n.mu.Unlock()
	for pause := time.Millisecond; len(grants) > 0; pause = min(2*pause, time.Second) {
		grants = n.recordAnswers(grants, n.backend.extend(n.backend.closing, grants), mine)
		select {
		case <-time.After(pause):
		case <-n.backend.closing.Done():
			return
		}
	}
}

// recordAnswers records what recheckHeld has learned, and returns the grants that it must ask
// about again: none if a later recheckHeld has begun.
func (n *notifications) recordAnswers(grants []driver.Grant, answers []driver.Renewal, mine int) (unanswered []driver.Grant) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, g := range grants {
		h, ok := n.held[g.AttemptID]
		switch {
		case !ok: // released meanwhile: no loss
		case errors.Is(answers[i].Err, driver.ErrNotHeld):
			delete(n.held, g.AttemptID)
			h.lost(errGone)
		case errors.Is(answers[i].Err, driver.ErrUnavailable) && mine == n.rechecks:
			unanswered = append(unanswered, g)
		}
	}
	return unanswered
}

// register begins to listen for the grant of an attempt.
func (n *notifications) register(attemptID string) *waiter {
	w := &waiter{events: make(chan string, 2)}
	n.mu.Lock()
	defer n.mu.Unlock()
	w.older = n.waiting[attemptID]
	n.waiting[attemptID] = w
	return w
}

// unregister ends what register began.
func (n *notifications) unregister(attemptID string, w *waiter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := n.waiting[attemptID]
	if first == w {
		first = w.older
	}
	for other := first; other != nil; other = other.older {
		if other.older == w {
			other.older = w.older
		}
	}
	if first == nil {
		delete(n.waiting, attemptID)
	} else {
		n.waiting[attemptID] = first
	}
}

// notify leaves an event for the waiter and for the older ones of its attempt. A waiter that has two
// events already needs no third: it will ask soon. A nil waiter is none.
func (w *waiter) notify(event string) {
	for ; w != nil; w = w.older {
		select {
		case w.events <- event:
		default:
		}
	}
}

// grantedToken returns the token of a notification that has come, if one has. A nil waiter has none.
func (w *waiter) grantedToken() (token string, ok bool) {
	for w != nil {
		select {
		case token = <-w.events:
			if token != recheck {
				return token, true
			}
		default:
			return "", false
		}
	}
	return "", false
}

// watchGrant begins to listen for the loss of a grant.
func (n *notifications) watchGrant(req driver.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held[req.AttemptID] = held{key: req.Key, ttl: req.TTL, lost: req.Lost}
}

// forgetGrant ends what watchGrant began.
func (n *notifications) forgetGrant(attemptID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.held, attemptID)
}
