package zookeeper

import (
	"cmp"
	"strconv"
	"strings"
)

const (
	// orderly is where the numbers of a lock's node end that tell the order of its claims.
	//
	// The server takes them from a counter of 32 bits, which does not wrap: it stays at
	// 2147483647. A create that comes alone is given that number again and again, beside
	// others that have it; of creates that overlap, the later get -2147483648 and so on,
	// and the next that comes alone has 2147483647 once more. Up to there each number is
	// given once, and a higher one later. We keep away from the end by a million.
	orderly = 1<<31 - 1<<20

	// halfway is the number from which on whoever empties a lock's node deletes it, so that
	// the numbers begin anew: see tidy.
	halfway = 1 << 30
)

// nodeName is the nodeName of a claim's node: the owner, '#', a sign, and the number that the
// server gave it. No owner has a '#'. The sign tells our claims from those of earlier
// builds, which have none and read the same number with it or without: see guard.
type nodeName struct {
	text  string
	owner string
	seq   int32
	early bool  // an earlier build's
	czxid int64 // where it is needed, see born; else 0
}

// parseName reads the name of a node. What is not of our making is not ok, and
// not a claim: one such node must not stop a lock (go-zookeeper's own Lock fails on it).
func parseName(text string) (n nodeName, ok bool) {
	owner, digits, found := strings.Cut(text, "#")
	digits, signed := strings.CutPrefix(digits, "+")
	if !found || owner == "" || len(digits) < 10 || text == guardName {
		return nodeName{}, false
	}
	seq, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return nodeName{}, false
	}
	return nodeName{text: text, owner: owner, seq: int32(seq), early: !signed}, true
}

// beyond reports whether the number does not tell the order.
func (n nodeName) beyond() bool { return n.seq < 0 || n.seq >= orderly }

// beyond reports the same of a node of ours.
func beyond(node string) bool {
	n, ok := parseName(node)
	return ok && n.beyond()
}

// before reports whether n was created before m, under the same parent. All whose
// numbers tell the order came before all others; among those the czxid tells it, the
// number of the transaction that created the node. The leader gives these in one order
// for all that is written, and no two claims of a lock have the same, see batch.
//
// So this is one order, that of the creations, for whoever looks, whatever else he sees;
// and that of the numbers, where all are in the range.
func (n nodeName) before(m nodeName) bool {
	switch {
	case n.beyond() != m.beyond():
		return m.beyond()
	case n.beyond():
		return cmp.Or(cmp.Compare(n.czxid, m.czxid), strings.Compare(n.text, m.text)) < 0
	default:
		return n.seq < m.seq
	}
}

// parseAll returns the claims in a list of children.
func parseAll(children []string) (queue []nodeName) {
	for _, child := range children {
		if n, ok := parseName(child); ok {
			queue = append(queue, n)
		}
	}
	return queue
}

// line is what a queue says about one claim.
type line struct {
	there bool     // the claim is in it
	ahead nodeName // the one right before it; none if it is the first
}

// lineUp finds a claim in its queue. Of those beyond the range the czxid must be known
// if the claim is one of them; to any other they are all later.
func lineUp(queue []nodeName, me nodeName) (l line) {
	for _, n := range queue {
		switch {
		case n.text == me.text:
			l.there = true
		case me.before(n):
		case l.ahead.text == "" || l.ahead.before(n):
			l.ahead = n
		}
	}
	return l
}

// first returns the claim that all others come after; none if there is none. The czxid
// must be known if all are beyond the range.
func first(queue []nodeName) (head nodeName) {
	for _, n := range queue {
		if head.text == "" || n.before(head) {
			head = n
		}
	}
	return head
}
