package sim

import (
	"fmt"
	"time"
)

// promises is what the clients were told, in the world's time, and whether it can be true:
// it knows nothing of how locks are made. It is what a user could see.
//
// It is checked as it happens. A holder is promised the lock from when the answer is in its
// hands until a share of the TTL after it sent what was answered, by its own clock. At no
// moment may two be promised the same key.
type promises struct {
	now  *time.Duration
	fail func(format string, args ...any)
	keys map[string]*promised
	// tokens is who was given each token. They are unique over all keys.
	tokens map[uint64]*promise
	// evicted are the tokens of grants that an operator has ended: nothing was promised for
	// that case.
	evicted map[uint64]bool
	// targets are the attempts that an operator has asked to evict, and attempts all that ever were, by name.
	targets  map[string]bool
	attempts map[string]*promise

	grants, fenced int
}

// promised is what was told about one key.
type promised struct {
	active []*promise // in the order of their grants; some may have expired
	newest uint64     // the greatest token that was told to anybody
	stored uint64     // the greatest token that the fenced store has seen
}

// promise is what one attempt at a key was told, as its client sees it.
type promise struct {
	name  string
	key   string
	floor uint64 // tokens known to anybody when it began: its own must be greater
	token uint64 // 0 until granted
	until time.Duration
	ended bool
}

func newPromises(now *time.Duration, fail func(string, ...any)) *promises {
	return &promises{now: now, fail: fail, keys: map[string]*promised{}, tokens: map[uint64]*promise{}, evicted: map[uint64]bool{}, targets: map[string]bool{}, attempts: map[string]*promise{}}
}

func (p *promises) of(key string) *promised {
	k := p.keys[key]
	if k == nil {
		k = &promised{}
		p.keys[key] = k
	}
	return k
}

// begin is when a client asks for a key.
func (p *promises) begin(name, key string) *promise {
	a := &promise{name: name, key: key, floor: p.of(key).newest}
	p.attempts[name] = a
	return a
}

// granted is when the answer that grants it has arrived.
func (p *promises) granted(a *promise, token uint64, until time.Duration) {
	k := p.of(a.key)
	switch other := p.tokens[token]; {
	case token == 0:
		p.fail("%s was granted %s without a token", a.name, a.key)
	case other != nil:
		p.fail("token %d was given to %s and to %s", token, other.name, a.name)
	case a.token != 0:
		p.fail("%s was granted %s twice: by token %d and by %d", a.name, a.key, a.token, token)
	case token <= a.floor:
		p.fail("%s has token %d of %s, and %d was known before it asked", a.name, token, a.key, a.floor)
	}
	p.tokens[token] = a
	p.grants++
	a.token = token
	a.ended = a.ended || p.evicted[token]
	k.newest = max(k.newest, token)
	k.active = append(k.active, a)
	p.extended(a, token, until)
}

// extended is when the answer to a renewal has arrived.
func (p *promises) extended(a *promise, token uint64, until time.Duration) {
	if a.token != token {
		p.fail("%s holds %s by token %d, and its renewal says %d", a.name, a.key, a.token, token)
	}
	a.until = max(a.until, until)
	if !a.holds(*p.now) {
		return // the answer came too late to be of use
	}
	k := p.of(a.key)
	live := k.active[:0]
	for _, other := range k.active {
		if other.expiredForGood(*p.now) {
			continue
		}
		live = append(live, other)
		if other != a && other.holds(*p.now) {
			p.fail("%s (token %d, until %v) and %s (token %d, until %v) hold %s at once",
				other.name, other.token, other.until, a.name, a.token, a.until, a.key)
		}
	}
	k.active = live
}

// refused is when an answer says that it does not hold the lock, and nobody who may has
// ended its grant.
func (p *promises) refused(a *promise, why string) {
	if a.token != 0 && a.holds(*p.now) {
		p.fail("%s lost %s (token %d) %v before what it was promised: %s", a.name, a.key, a.token, a.until-*p.now, why)
	}
}

// evict is when an operator has ended a grant, before anybody has heard of it.
func (p *promises) evict(token uint64) {
	p.evicted[token] = true
	if a := p.tokens[token]; a != nil {
		a.ended = true
	}
}

// target is when an operator asks for the end of what an attempt has: from here on nothing is promised to it.
func (p *promises) target(name string) {
	p.targets[name] = true
	if a := p.attempts[name]; a != nil {
		a.ended = true
	}
}

// end is when the client gives it up, before it tells anybody; or dies.
func (p *promises) end(a *promise) { a.ended = true }

// write is when a holder's write arrives at a store that knows tokens.
func (p *promises) write(a *promise) {
	k := p.of(a.key)
	if a.token < k.stored {
		if a.holds(*p.now) {
			p.fail("a write of %s by token %d, which is promised until %v, came after one of token %d",
				a.name, a.token, a.until, k.stored)
		}
		p.fenced++
		return
	}
	k.stored = a.token
}

func (a *promise) holds(now time.Duration) bool { return !a.ended && now < a.until }

// expiredForGood tells that no later answer can revive it: one that was sent long ago.
func (a *promise) expiredForGood(now time.Duration) bool { return a.ended || a.until+time.Minute < now }

func (a *promise) String() string { return fmt.Sprintf("%s on %s", a.name, a.key) }
