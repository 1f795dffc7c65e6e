// Package mem is a lock server inside the process: for tests, for examples, and
// for programs that run as one copy today.
//
// A [Space] is the server. Each backend that [New] makes on it is a client of
// its own, as independent of the others as if it had a connection to itself:
//
//	space := mem.NewSpace()
//	a, b := mem.New(space), mem.New(space) // two clients, one server
//
// # Recipe
//
// Each key that is in use has a line: a holder, a queue, one timer. Release,
// eviction and lapse hand the key to the head of the queue in the same step, so a
// hand-off costs one wake-up whatever the length of the queue. A waiting Acquire
// blocks on a channel. A key that nobody uses takes no memory.
//
// # What it promises
//
// Linearizable inside one process: one holder, tokens of a space rise for ever,
// first come first served, and loss told at once through Request.Lost. A waiter
// whose call ended without Release keeps its place for one TTL, as it would on a
// server that cannot see it; if its turn comes then, it costs those behind it at
// most one TTL.
//
// # What it does not promise
//
// Nothing survives the process, and nothing is shared with another process. An
// owner that was released stays out until 8,192 later releases have gone by.
//
// It needs only channels, timers and short critical sections, so that it works
// in a testing/synctest bubble. A Space belongs to the bubble that it was first
// used in.
package mem
