// Package fakemember is a member that is not one, for tests of clients: the state machine behind
// connections in memory, with no log, no disk and no others. It loses answers and goes silent
// when it is told to, in real time or a bubble's.
package fakemember
