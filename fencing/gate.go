package fencing

import (
	"errors"
	"fmt"
	"sync"
)

// ErrStale is returned by [Gate.Admit] for a token lower than one already seen:
// its holder has lost the lock, and somebody else has written since. Or else locks have
// moved to a backend with lower tokens, and every token is refused: see
// fencelock.Options.TokenBase. Match it with [errors.Is].
var ErrStale = errors.New("fencing: stale token")

// StaleError says which token was refused and what it met. It matches
// [ErrStale].
type StaleError struct {
	Key     string
	Token   Token // the one refused
	Highest Token // the highest admitted for Key
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("fencing: stale token %v for %q: %v has been seen", e.Token, e.Key, e.Highest)
}

// Is reports whether target is [ErrStale].
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// A Gate stands in front of a resource and lets tokens of a key through only in
// rising order. The zero value is ready. It is safe for concurrent use.
//
// It remembers one number for every key it has met, and nothing across
// restarts. Where the resource is a database, keep the number beside the data
// and compare in the same transaction; the Gate shows the rule:
//
//	refuse if token < highest[key], else highest[key] = token and write
//
// Admit and the write that follows must be one step for the resource: hold the
// resource's own lock, or use [Gate.Do], or a write admitted with an old token
// may land after one admitted with a newer token.
type Gate struct {
	mu      sync.Mutex
	highest map[string]Token
}

// Admit refuses a token lower than the highest that it has admitted for the
// key, with a [*StaleError], and remembers a higher one. The same token may pass
// any number of times: a holder writes more than once. Zero is refused with
// [ErrBadToken].
func (g *Gate) Admit(key string, t Token) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.admit(key, t)
}

// Do calls write if the token passes, and lets no other token of any key pass
// until write has returned. It returns Admit's error, or write's.
func (g *Gate) Do(key string, t Token, write func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.admit(key, t); err != nil {
		return err
	}
	return write()
}

func (g *Gate) admit(key string, t Token) error {
	if t == 0 {
		return ErrBadToken
	}
	if h := g.highest[key]; t < h {
		return &StaleError{Key: key, Token: t, Highest: h}
	}
	if g.highest == nil {
		g.highest = make(map[string]Token)
	}
	g.highest[key] = t
	return nil
}

// Highest returns the highest token admitted for the key, or zero.
func (g *Gate) Highest(key string) Token {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.highest[key]
}
