package redis

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// waiters are those in this client whom the server tells something unasked, on the one channel
// that is the client's own: "granted OWNER TOKEN" and "ask OWNER" to a waiter, "evicted
// OWNER" to a holder. Redis delivers at most once, so nothing relies on a push alone.
type waiters struct {
	backend *backend
	running sync.WaitGroup // verify

	mu       sync.Mutex
	waiting  map[string]*waiter // by owner
	held     map[string]held    // by owner
	verified int                // times that verify has begun
}

// waiter is an Acquire that waits.
type waiter struct {
	news  chan string // the token that was granted, or askNow; capacity 2
	older *waiter     // another Acquire of the same owner, not ended yet
}

// askNow is news that a push may have been lost: ask the server.
const askNow = ""

// held is a grant whose loss the server may tell.
type held struct {
	key  string
	ttl  time.Duration
	lost func(why error)
}

func newWaiters(b *backend) *waiters {
	return &waiters{backend: b, waiting: make(map[string]*waiter), held: make(map[string]held)}
}

// take takes in a push.
func (ws *waiters) take(payload string) {
	verb, rest, _ := strings.Cut(payload, " ")
	owner, token, _ := strings.Cut(rest, " ")
	ws.mu.Lock()
	defer ws.mu.Unlock()
	switch verb {
	case "granted":
		// An owner that is not there has been cancelled; its release is under way.
		ws.waiting[owner].tell(token)
	case "ask": // it has become the first that waits
		ws.waiting[owner].tell(askNow)
	case "evicted":
		if h, ok := ws.held[owner]; ok {
			h.lost(driver.ErrEvicted)
		}
	}
}

// again is called when the connection broke and is back. What was pushed meanwhile is lost, and
// the server may have lost its data: ask about everything.
func (ws *waiters) again() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.waiting {
		w.tell(askNow)
	}
	ws.running.Go(ws.verify)
}

// verify asks whether the grants that this client holds are still there, by
// renewing them, and tells the holders of those that are not. Without it they
// would learn with their next renewal; after a restart of a server without
// persistence, that is how long two holders could overlap. It asks again where it
// got no answer, for a server that has just come back may not be ready.
func (ws *waiters) verify() {
	ws.mu.Lock()
	ws.verified++
	mine := ws.verified
	grants := make([]driver.Grant, 0, len(ws.held))
	for owner, h := range ws.held {
		grants = append(grants, driver.Grant{Key: h.key, AttemptID: owner, TTL: h.ttl})
	}
	ws.mu.Unlock()
	for pause := time.Millisecond; len(grants) > 0; pause = min(2*pause, time.Second) {
		grants = ws.settle(grants, ws.backend.extend(ws.backend.closing, grants), mine)
		select {
		case <-time.After(pause):
		case <-ws.backend.closing.Done():
			return
		}
	}
}

// settle takes in answers to a verify, and returns the grants that it must ask
// about again: none if another has begun.
func (ws *waiters) settle(grants []driver.Grant, answers []driver.Renewal, mine int) (unanswered []driver.Grant) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i, g := range grants {
		h, ok := ws.held[g.AttemptID]
		switch {
		case !ok: // released meanwhile: no loss
		case errors.Is(answers[i].Err, driver.ErrNotHeld):
			delete(ws.held, g.AttemptID)
			h.lost(errGone)
		case errors.Is(answers[i].Err, driver.ErrUnavailable) && mine == ws.verified:
			unanswered = append(unanswered, g)
		}
	}
	return unanswered
}

// register begins to listen for the push to an owner.
func (ws *waiters) register(owner string) *waiter {
	w := &waiter{news: make(chan string, 2)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.older = ws.waiting[owner]
	ws.waiting[owner] = w
	return w
}

// forget ends that.
func (ws *waiters) forget(owner string, w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	first := ws.waiting[owner]
	if first == w {
		first = w.older
	}
	for other := first; other != nil; other = other.older {
		if other.older == w {
			other.older = w.older
		}
	}
	if first == nil {
		delete(ws.waiting, owner)
	} else {
		ws.waiting[owner] = first
	}
}

// tell leaves news for the waiter and the older ones of its owner. If two are there
// already it will ask soon. A nil waiter is nobody.
func (w *waiter) tell(news string) {
	for ; w != nil; w = w.older {
		select {
		case w.news <- news:
		default:
		}
	}
}

// pushed returns the token that was pushed, if one was. A nil waiter has none.
func (w *waiter) pushed() (token string, ok bool) {
	for w != nil {
		select {
		case token = <-w.news:
			if token != askNow {
				return token, true
			}
		default:
			return "", false
		}
	}
	return "", false
}

// hold begins to listen for the loss of a grant.
func (ws *waiters) hold(req driver.Request) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.held[req.AttemptID] = held{key: req.Key, ttl: req.TTL, lost: req.Lost}
}

// drop ends that.
func (ws *waiters) drop(owner string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.held, owner)
}
