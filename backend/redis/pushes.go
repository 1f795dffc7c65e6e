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
// is the client's own: "granted OWNER TOKEN" to a waiter, "evicted OWNER" to a
// holder. Redis delivers at most once, so nothing relies on a push alone.
type pushes struct {
	backend *backend
	sub     *goredis.PubSub
	running sync.WaitGroup // listen and verify

	mu      sync.Mutex
	waiting map[string]*waiter // by owner
	held    map[string]held    // by owner
}

// waiter is an Acquire that waits.
type waiter struct {
	push  chan string   // the token; capacity 1
	ask   chan struct{} // ask the server now; capacity 1
	older *waiter       // another Acquire of the same owner, not ended yet
}

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
		for w := p.waiting[owner]; w != nil; w = w.older {
			select {
			case w.push <- token:
			default: // pushed already
			}
		}
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
		for ; w != nil; w = w.older {
			select {
			case w.ask <- struct{}{}:
			default:
			}
		}
	}
}

// verify asks whether the grants that this client holds are still there, by
// renewing them, and tells the holders of those that are not. Without it they
// would learn with their next renewal; after a restart of a server without
// persistence, that is how long two holders could overlap.
func (p *pushes) verify() {
	p.mu.Lock()
	grants := make([]driver.Grant, 0, len(p.held))
	for owner, h := range p.held {
		grants = append(grants, driver.Grant{Key: h.key, Owner: owner, TTL: h.ttl})
	}
	p.mu.Unlock()
	renewals := p.backend.extend(p.backend.closing, grants)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, g := range grants {
		// One that was released meanwhile has been dropped: no loss.
		if h, ok := p.held[g.Owner]; ok && errors.Is(renewals[i].Err, driver.ErrNotHeld) {
			delete(p.held, g.Owner)
			h.lost(errGone)
		}
	}
}

// register begins to listen for the push to an owner.
func (p *pushes) register(owner string) *waiter {
	w := &waiter{push: make(chan string, 1), ask: make(chan struct{}, 1)}
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

// pushed returns the token that was pushed, if one was. A nil waiter has none.
func (w *waiter) pushed() (token string, ok bool) {
	if w == nil {
		return "", false
	}
	select {
	case token = <-w.push:
		return token, true
	default:
		return "", false
	}
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
