package zookeeper

import (
	"strconv"
	"strings"
)

// name is the name of a claim's node: the owner, '#', and the number that the
// server gave it. No owner has a '#'.
type name struct {
	text  string
	owner string
	seq   int32
}

// parseName reads the name of a node. What is not of our making is not ok, and
// not a claim: one such node must not stop a lock (go-zookeeper's own Lock fails on it).
func parseName(text string) (n name, ok bool) {
	owner, digits, found := strings.Cut(text, "#")
	if !found || owner == "" || len(digits) < 10 {
		return name{}, false
	}
	seq, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return name{}, false
	}
	return name{text, owner, int32(seq)}, true
}

// before reports whether n was created before m, under the same parent.
//
// The server's number is 32 bits wide and wraps: after 2147483647 comes
// -2147483648. Compared as plain numbers, the newest waiter would then be the
// first, beside a holder (kazoo#730, ZOOKEEPER-4706). The difference, which wraps
// too, gives the right order while a queue spans less than 2^31 claims.
func (n name) before(m name) bool { return n.seq-m.seq < 0 }

// line is what a list of children says about one claim.
type line struct {
	there bool // the claim is in the list
	ahead name // the one right before it; none if it is the first
}

// lineUp finds a claim among the children of its parent.
func lineUp(children []string, own string) (l line) {
	me, ok := parseName(own)
	if !ok {
		return line{}
	}
	for _, child := range children {
		n, ok := parseName(child)
		switch {
		case !ok:
		case child == own:
			l.there = true
		case me.before(n):
		case l.ahead.text == "" || l.ahead.before(n):
			l.ahead = n
		}
	}
	return l
}

// first returns the claim that all others come after, and how many there are.
func first(children []string) (head name, count int) {
	for _, child := range children {
		if n, ok := parseName(child); ok {
			if count == 0 || n.before(head) {
				head = n
			}
			count++
		}
	}
	return head, count
}
