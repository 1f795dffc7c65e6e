package recipe

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/driver"
)

// NoQuorumError says that too few nodes have answered, or agreed, to know or do what was asked. It matches
// driver.ErrUnavailable where asking again may help, and driver.ErrRefused where a majority refuses
// and nothing was done.
type NoQuorumError struct {
	Needed int // so many nodes are a majority of the list
	Nodes  []NodeError

	kinds []error
}

// NodeError is what became of the request on one node.
type NodeError struct {
	Node string // its address
	Err  error  // nil if it did what it was asked; a *driver.HeldError if another has the lock there
}

var (
	errNoAnswer = errors.New("no answer")
	errNobody   = errors.New("nobody has the lock there")
	errEnded    = errors.New("the attempt was ended there")
	errVanished = errors.New("the lock has gone from there")
)

func (e *NoQuorumError) Error() string {
	var s strings.Builder
	agreed := 0
	for _, n := range e.Nodes {
		if n.Err == nil {
			agreed++
		}
	}
	fmt.Fprintf(&s, "no quorum: %d of %d nodes agree, %d are needed", agreed, len(e.Nodes), e.Needed)
	for _, ok := range []bool{false, true} { // who does not agree comes first
		for _, n := range e.Nodes {
			switch {
			case ok != (n.Err == nil):
			case ok:
				s.WriteString("; " + n.Node + ": ok")
			default:
				s.WriteString("; " + n.Node + ": " + n.Err.Error())
			}
		}
	}
	return s.String()
}

// Unwrap returns the kinds of the error, and not what the nodes said: that one of them said "held" is no
// definite answer.
func (e *NoQuorumError) Unwrap() []error { return e.kinds }

// noQuorum makes the error of a call, from what became of it on each node.
//
// Refused is the kind if a majority refuses, and no node can have done anything. Unavailable is it, unless so many nodes
// refuse for good that no majority is left.
func (b *Backend) noQuorum(of func(node int) error) *NoQuorumError {
	e := &NoQuorumError{Needed: b.quorum, Nodes: make([]NodeError, len(b.nodes))}
	undone, refused, hopeless := 0, 0, 0
	for i, n := range b.nodes {
		err := of(i)
		e.Nodes[i] = NodeError{n.Name(), err}
		if err == nil {
			continue
		}
		if nothingDone(err) {
			undone++
		}
		if !errors.Is(err, driver.ErrRefused) {
			continue
		}
		refused++
		if !errors.Is(err, driver.ErrUnavailable) {
			hopeless++
		}
	}
	if undone == len(b.nodes) && refused >= b.quorum {
		e.kinds = append(e.kinds, driver.ErrRefused)
	}
	if len(b.nodes)-hopeless >= b.quorum {
		e.kinds = append(e.kinds, driver.ErrUnavailable)
	} else if len(e.kinds) == 0 {
		e.kinds = append(e.kinds, errHopeless)
	}
	return e
}

var errHopeless = errors.New("refused by a majority of the nodes")

// noQuorum is the error of a try that failed for want of answers.
func (t *try) noQuorum() error {
	t.a.mu.Lock()
	defer t.a.mu.Unlock()
	done, other, over := t.votes.Answered()
	return t.b.noQuorum(func(i int) error {
		said := t.replies()
		switch {
		case said.errs[i] != nil:
			return said.errs[i]
		case done.Has(i):
			return nil
		case other.Has(i):
			h := said.holders[i]
			return &driver.HeldError{Identity: t.b.holder(h).Identity, Left: h.Left}
		case over.Has(i):
			return errEnded
		}
		return errNoAnswer
	})
}

// answered reports whether a majority has answered.
func (t *try) answered() bool {
	t.a.mu.Lock()
	defer t.a.mu.Unlock()
	done, other, _ := t.votes.Answered()
	return (done | other).Len() >= t.b.quorum
}

// heldError tells who has the lock, where a majority says the same. Where the votes were split,
// nobody has it, and asking again soon may help.
func (t *try) heldError() error {
	t.a.mu.Lock()
	defer t.a.mu.Unlock()
	node, _ := t.votes.Holder()
	if t.votes.Verdict() != vote.Held {
		return &driver.HeldError{RetryAfter: t.b.pace.backoff(maxSplits, t.ttl) + t.b.pace.roundTrip()}
	}
	h := t.replies().holders[node]
	return &driver.HeldError{Identity: t.b.holder(h).Identity, Left: h.Left}
}
