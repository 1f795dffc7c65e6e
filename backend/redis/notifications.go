package redis

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
	"github.com/fencelock/fencelock/fencing"
)

// notifications hands what the server publishes to this client to the Acquire calls that wait and to the
// holders of grants. The client has one channel of its own. On it come "granted ATTEMPT TOKEN" and
// "ask ATTEMPT" for an attempt that waits, and "evicted ATTEMPT" for one that holds. Redis delivers a
// message at most once, so nothing relies on a message alone.
type notifications struct {
	backend  *backend
	registry *registry      // the backend's
	running  sync.WaitGroup // recheckHeld
	rechecks atomic.Int64   // how often recheckHeld has begun
}

// onMessage handles one message of the channel. It names no key: where an attempt id is on several keys, the
// message may be of any of them, and is a reason to ask. So is a grant where it is not sure that the server which tells of
// it is the one that has the locks (node.Sure).
func (n *notifications) onMessage(payload string, sure bool) {
	verb, rest, _ := strings.Cut(payload, " ")
	attemptID, token, _ := strings.Cut(rest, " ")
	n.registry.mu.Lock()
	var a *attempt // an attempt that is not there has been cancelled; its release is under way
	keys := 0
	for a = range n.registry.WithID(attemptID) {
		keys++
	}
	var lost func(why error)
	switch {
	case keys > 1:
		n.recheckAll()
	case keys == 0:
	case verb == "granted":
		t, _ := fencing.Parse(token)
		if !sure || n.backend.wait > 0 { // or replicas may not have it
			t = 0
		}
		a.notify(t)
	case verb == "ask": // it has become the first that waits
		a.notify(0)
	case verb == "evicted" && a.Phase() == attempts.Held:
		lost = n.registry.Forget(a)
	}
	n.registry.mu.Unlock()
	if lost != nil {
		lost(driver.ErrEvicted)
	}
}

// onResubscribe is called when the subscription broke and is back. Messages sent meanwhile are lost, and
// the server may have lost its data, or be another: ask about every waiter and every grant, and release again what
// was released a moment ago.
func (n *notifications) onResubscribe() {
	if parts := n.backend.releases.doubtful(); len(parts) > 0 {
		n.running.Go(func() { n.backend.releaseAgain(parts) })
	}
	n.registry.mu.Lock()
	defer n.registry.mu.Unlock()
	n.recheckAll()
}

// recheckAll is called with the registry's mutex held.
func (n *notifications) recheckAll() {
	for a := range n.registry.All() {
		a.notify(0)
	}
	n.running.Go(n.recheckHeld)
}

// longestRecheckPause is so short that holders learn within a second of a server's first answer what it has kept.
const longestRecheckPause = 250 * time.Millisecond

// recheckHeld renews the grants that this client holds, to find out whether they are still there, and
// tells the holders of those that are gone. Otherwise they would learn it with their next renewal, and
// for that long two holders could overlap after a restart of a server without persistence. It asks again
// where it got no answer, since a server that has just come back may not be ready.
func (n *notifications) recheckHeld() {
	n.registry.mu.Lock()
	mine := n.rechecks.Add(1)
	var grants []driver.Grant
	for a := range n.registry.All() {
		if a.Phase() == attempts.Held {
			grants = append(grants, driver.Grant{Key: a.Key, AttemptID: a.AttemptID, TTL: a.TTL, Handle: a})
		}
	}
	n.registry.mu.Unlock()
	for pause := time.Millisecond; len(grants) > 0; pause = min(2*pause, longestRecheckPause) {
		answers := n.backend.extend(n.backend.closing, grants)
		for _, lost := range n.registry.renewed(grants, answers) {
			lost(errGone)
		}
		var unanswered []driver.Grant // and not released meanwhile; and no later recheckHeld has begun
		n.registry.mu.Lock()
		for i, g := range grants {
			held := n.registry.Of(g).Phase() == attempts.Held
			if held && errors.Is(answers[i].Err, driver.ErrUnavailable) && mine == n.rechecks.Load() {
				unanswered = append(unanswered, g)
			}
		}
		n.registry.mu.Unlock()
		grants = unanswered
		select {
		case <-time.After(pause):
		case <-n.backend.closing.Done():
			return
		}
	}
}
