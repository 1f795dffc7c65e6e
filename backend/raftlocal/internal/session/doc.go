// Package session is the client's side of a session: it numbers commands, sends again what
// has no answer when there is a new connection, and opens another session when the one it
// had has ended. It has no goroutine, no clock and no connection of its own; whoever has these
// calls it, from one goroutine at a time. So a simulation runs the very code that clients run.
//
// # A command is carried out once, or it is said that nobody knows
//
// As long as the session lives, the state machine keeps the reply to a command until Lowest of
// a later one says that it has arrived. So a command may be sent on one connection after
// another, with its number, and is carried out once.
//
// When the session has ended, nothing of it is carried out any more. A command that is then
// answered with command.SessionGone, and was sent on one connection only, existed in one copy,
// and that copy has just found no session: it was not carried out, and goes to the next session
// as if nothing had happened. This is what happens to a client that wakes up after a long
// sleep. If it was sent twice, the first copy may have been carried out while the session lived:
// its event is Unknown, and only who asked can tell what to do.
//
// # Order
//
// Commands are carried out in the order in which Do was called, but those that are answered
// without the log may be later. A command that goes to the next session goes before
// all that was not sent yet, and nothing is sent there until all that was sent to the
// former one has been answered or given up: so neither changes the order.
//
// # Giving up
//
// A command that is cancelled before it was sent never is. If it was sent, its answer is
// ignored, Lowest passes it, and it is not sent again: a later command of the session that is
// carried out keeps every late copy of it out.
package session
