package vote

import (
	"math/bits"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// Poll counts the answers to a question that all nodes are asked: whether they have renewed a lease, or
// ended one. The zero value is of no use.
type Poll struct {
	nodes            uint8
	yes, no, missing Set // no has those of missing
	silent           Set
}

// Answer is what a poll says.
type Answer uint8

const (
	Undecided Answer = iota
	Yes              // a majority says so
	No               // no majority can have said yes, whatever those say that are silent
	Unknown          // all is told, and it is not enough
)

// NewPoll is a poll of n nodes.
func NewPoll(n int) Poll { return Poll{nodes: uint8(n)} } //nolint:gosec // at most Most

// Told records what a node says: Done is yes.
func (p *Poll) Told(node int, o wire.Outcome) {
	if (p.yes | p.no).Has(node) {
		return
	}
	p.silent = p.silent.Without(node)
	switch o {
	case wire.Done:
		p.yes = p.yes.With(node)
	case wire.None:
		p.no, p.missing = p.no.With(node), p.missing.With(node)
	default:
		p.no = p.no.With(node)
	}
}

// Silent records that a node will not answer.
func (p *Poll) Silent(node int) {
	if !(p.yes | p.no).Has(node) {
		p.silent = p.silent.With(node)
	}
}

// Answer is what is known so far. Yes and No are final.
func (p *Poll) Answer() Answer {
	switch n := int(p.nodes); {
	case p.yes.Len() >= Quorum(n):
		return Yes
	case n-p.no.Len() < Quorum(n):
		return No
	case p.yes|p.no|p.silent == All(n):
		return Unknown
	}
	return Undecided
}

// Yes are the nodes that have said yes.
func (p *Poll) Yes() Set { return p.yes }

// No are the nodes that have said no.
func (p *Poll) No() Set { return p.no }

// Repairs returns the nodes that a renewed lease is to be given back to now, each once: those that have
// nobody's key, once a majority has renewed it. What a node answers to its repair counts
// nowhere; the node has a vote again in the next renewal.
func (p *Poll) Repairs() Set {
	if p.Answer() != Yes {
		return 0
	}
	s := p.missing
	p.missing = 0
	return s
}

// MaxNodes is the number of nodes of the longest list.
const MaxNodes = 7

// Quorum is how many of n nodes are a majority. It is of the whole list, whatever is known of a node.
func Quorum(n int) int { return n/2 + 1 }

// Set is a set of nodes, by their index in the list.
type Set uint8

// All is the set of all of n nodes.
func All(n int) Set { return 1<<n - 1 }

// Has reports whether a node is in the set.
func (s Set) Has(node int) bool { return s>>node&1 != 0 }

// With is the set and a node.
func (s Set) With(node int) Set { return s | 1<<node }

// Without is the set less a node.
func (s Set) Without(node int) Set { return s &^ (1 << node) }

// Len is how many nodes are in the set.
func (s Set) Len() int { return bits.OnesCount8(uint8(s)) }
