// Package client runs a session: it finds the member that leads, follows it when it moves, and
// carries commands of many callers over one connection.
//
// There are two goroutines for a connection, and none for a caller. One reads, and tells the
// callers; between connections it looks for the leader. The other writes whatever has come
// together since its last write, at once: a lone caller waits for nobody, and of a thousand
// callers many share one write. While something is outstanding a timer looks, twice in a
// second, whether the member is still there: one that has said nothing for a second and a half,
// although asked, is left for another.
//
// Whoever looks for the leader asks one member, and the next as soon as that has answered, or
// has not for a tenth of a second: a member that is gone costs nobody more than that, however
// long its address takes to fail. What is slow is waited for all the same.
//
// # Who says what to whom
//
// What an answer means for a claim must be noted before anything that comes later is looked at:
// the push that grants a lock may be in the same packet as the reply that says "wait". So a
// call has a [Then], which the reading goroutine calls, in the order of the answers, before the
// caller is woken.
package client
