// Package both makes one backend of two: a lock of it is the lock of the old one and,
// under that, the lock of the new one. It is for the time in which programs that lock on
// the old one run beside programs that lock on the new one.
//
// The order is fixed, old before new, so that two holders of one each do not wait for
// each other. The grant ends when either does. Its token is the new one's.
package both

import (
	"errors"
	"fmt"
	"sync"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Pair is the backend of two.
type Pair struct {
	old, new side
	rises    func(old, new fencing.Token) error
	ahead    fencing.Token

	mu     sync.Mutex
	claims map[string]struct{} // attempts that may have a claim to the new lock, see first
}

// side is one of the two, with what errors call it.
type side struct {
	driver.Backend
	isNew bool
	name  string
}

// blame names the server in an error.
func (s side) blame(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// New makes a pair. rises compares the two tokens of each grant, and refuses a grant that a
// resource would take for older than those of the old lock. Inspect lowers the token of a lock
// that is held on the old server only by ahead: the core adds the base of the new server, and so
// comes to the token that the old server's clients see.
func New(old, new driver.Backend, ahead fencing.Token, rises func(old, new fencing.Token) error) *Pair {
	return &Pair{
		old:   side{old, false, "the old lock (" + old.Info().Name + ")"},
		new:   side{new, true, "the new lock (" + new.Info().Name + ")"},
		rises: rises, ahead: ahead,
	}
}

var _ driver.Backend = (*Pair)(nil)

// Info promises what both do. Whoever opened the two has seen what they warn of.
func (p *Pair) Info() driver.Info {
	a, b := p.old.Info(), p.new.Info()
	return driver.Info{
		Name:      a.Name + "+" + b.Name,
		Guarantee: min(a.Guarantee, b.Guarantee),
		Features:  a.Features & b.Features,
		MinTTL:    max(a.MinTTL, b.MinTTL),
		MaxTTL:    min(a.MaxTTL, b.MaxTTL),
		SameClock: a.SameClock && b.SameClock,
		Namespace: bothNamespaces(a.Namespace, b.Namespace),
	}
}

// bothNamespaces is one name where both have the same.
func bothNamespaces(old, fresh string) string {
	if old == fresh {
		return old
	}
	return old + "+" + fresh
}

// Close closes both.
func (p *Pair) Close() error {
	return together(func(s side) error { return s.blame(s.Close()) }, p).join()
}

// outcome is what came of asking both.
type outcome struct{ old, new error }

func (o outcome) join() error { return errors.Join(o.old, o.new) }

// together asks both at the same time, so that one that hangs takes nothing off the
// other's time.
func together(ask func(side) error, p *Pair) (o outcome) {
	var asking sync.WaitGroup
	asking.Go(func() { o.old = ask(p.old) })
	o.new = ask(p.new)
	asking.Wait()
	return o
}
