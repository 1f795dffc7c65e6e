// Package server runs a member: it gives a [member.Member], which starts nothing and reads no
// clock, a goroutine, a clock, a disk and a network.
//
// # The loop
//
// One goroutine has the member. It takes all that has come in, then flushes once, so that
// what came while the disk was busy shares the next sync. Nothing that it calls waits for
// anything but the disk: what goes out is put into buffers that other goroutines write.
//
//	connections ─► readers ─► inbox ─► loop: member, log, disk ─► buffers ─► writers
//
// # Connections
//
// One listener serves everybody; the first bytes tell who it is: TLS, within which it begins
// anew, our own protocol (package wire) for clients and members, or HTTP for operators. A client
// is served for as long as this member leads. Members send each other messages on connections
// that go one way, so each has two of every other; a snapshot goes on one of its own, so that
// no heartbeat waits behind it.
//
// # Before there is a member
//
// A directory that is to begin a cluster with others has an id and no member yet. Until it has
// (found.go, ask.go), the server asks the others how they stand, answers the same, tells clients that
// nobody leads, and takes no messages of raft. Package bootstrap says when it is time.
//
// # Limits
//
// All that is kept for others is bounded. A client that sends more than can be worked off is read
// no further; one that does not take its answers is cut off. Messages to a member that does
// not take them are dropped, as a network may: raft sends them again.
package server
