// Package vote has the rules by which the answers of N nodes become one: whether a try has the lock,
// whether a lease was kept, whether it was ended. They are pure. Nothing here sends, waits or
// reads a clock, and each value can be copied, so that a test can go through every order in which
// answers may come.
package vote

import "math/bits"

// Most is the number of nodes of the longest list.
const Most = 7

// Quorum is how many of n nodes are a majority. It is of the whole list, whatever is known of a node.
func Quorum(n int) int { return n/2 + 1 }

// Set is a set of nodes, by their place in the list.
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
