package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// pushes is what the server tells this client unasked, on the one channel that
// is the client's own: "granted OWNER TOKEN" and "ask OWNER" to a waiter, "evicted
// OWNER" to a holder. Redis delivers at most once, so nothing relies on a push alone.
type pushes struct {
	backend *backend
	sub     *goredis.PubSub
	running sync.WaitGroup // listen and verify

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

var (
	errEvicted = errors.New("evicted by an operator")
	errGone    = errors.New("the server does not know it any more (was it restarted, or its data deleted?)")
)

func subscribe(ctx context.Context, b *backend) (*pushes, error) {
	p := &pushes{
		backend: b,
		waiting: make(map[string]*waiter),
		held:    make(map[string]held),
	}
	p.sub = b.client.Subscribe(ctx, b.channel)
	if _, err := p.sub.Receive(ctx); err != nil {
		_ = p.sub.Close()
		return nil, fmt.Errorf("subscribing to %s: %w", b.channel, fault(ctx, err))
	}
	news := p.sub.ChannelWithSubscriptions()
	p.running.Go(func() { p.listen(news) })
	return p, nil
}

// listen takes in pushes until close.
func (p *pushes) listen(news <-chan any) {
	for n := range news {
		switch n := n.(type) {
		case *goredis.Message:
			p.take(n.Payload)
		case *goredis.Subscription:
			// The connection broke and is back. What was pushed meanwhile is lost,
			// and the server may have lost its data: ask about everything.
			p.askAgain()
			p.running.Go(p.verify)
		}
	}
}

func (p *pushes) take(payload string) {
	verb, rest, _ := strings.Cut(payload, " ")
	owner, token, _ := strings.Cut(rest, " ")
	p.mu.Lock()
	defer p.mu.Unlock()
	switch verb {
	case "granted":
		// An owner that is not there has been cancelled; its release is under way.
		p.waiting[owner].tell(token)
	case "ask": // it has become the first that waits
		p.waiting[owner].tell(askNow)
	case "evicted":
		if h, ok := p.held[owner]; ok {
			h.lost(errEvicted)
		}
	}
}

func (p *pushes) askAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		w.tell(askNow)
	}
}

// verify asks whether the grants that this client holds are still there, by
// renewing them, and tells the holders of those that are not. Without it they
// would learn with their next renewal; after a restart of a server without
// persistence, that is how long two holders could overlap. It asks again where it
// got no answer, for a server that has just come back may not be ready.
func (p *pushes) verify() {
	p.mu.Lock()
	p.verified++
	mine := p.verified
	grants := make([]driver.Grant, 0, len(p.held))
	for owner, h := range p.held {
		grants = append(grants, driver.Grant{Key: h.key, Owner: owner, TTL: h.ttl})
	}
	p.mu.Unlock()
	for pause := time.Millisecond; len(grants) > 0; pause = min(2*pause, time.Second) {
		grants = p.settle(grants, p.backend.extend(p.backend.closing, grants), mine)
		select {
		case <-time.After(pause):
		case <-p.backend.closing.Done():
			return
		}
	}
}

// settle takes in answers to a verify, and returns the grants that it must ask
// about again: none if another has begun.
func (p *pushes) settle(grants []driver.Grant, answers []driver.Renewal, mine int) (unanswered []driver.Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, g := range grants {
		h, ok := p.held[g.Owner]
		switch {
		case !ok: // released meanwhile: no loss
		case errors.Is(answers[i].Err, driver.ErrNotHeld):
			delete(p.held, g.Owner)
			h.lost(errGone)
		case errors.Is(answers[i].Err, driver.ErrUnavailable) && mine == p.verified:
			unanswered = append(unanswered, g)
		}
	}
	return unanswered
}

// register begins to listen for the push to an owner.
func (p *pushes) register(owner string) *waiter {
	w := &waiter{news: make(chan string, 2)}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.older = p.waiting[owner]
	p.waiting[owner] = w
	return w
}

// forget ends that.
func (p *pushes) forget(owner string, w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.waiting[owner]
	if first == w {
		first = w.older
	}
	for other := first; other != nil; other = other.older {
		if other.older == w {
			other.older = w.older
		}
	}
	if first == nil {
		delete(p.waiting, owner)
	} else {
		p.waiting[owner] = first
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
func (p *pushes) hold(req driver.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[req.Owner] = held{key: req.Key, ttl: req.TTL, lost: req.Lost}
}

// drop ends that.
func (p *pushes) drop(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, owner)
}

func (p *pushes) close() {
	_ = p.sub.Close()
	p.running.Wait()
}
