// Package contest says what a lock library must look like to be measured. Every scenario is written against it once, so
// that ours and the peers run the same code around the call that is measured.
package contest

import (
	"context"
	"net"
	"time"
)

// Contestant is one library, or the bare commands, on one server.
type Contestant struct {
	Name  string
	Bare  bool // keeps nothing for a held lock: the commands alone, or a library that leaves it all to its session
	Floor bool // is the least that a lock can cost where nobody else wants the key, and takes part only there: it may exclude nobody
	// Elsewhere says that it is on another server than ours, of the same run: what passes on its wire, and what its server
	// writes, is not counted.
	Elsewhere bool

	// Child says that its clients are processes of their own, which measure there: each is a Worker, and
	// takes part only where nobody waits for another.
	Child bool

	Token  bool   // each grant carries a fencing token
	Renews bool   // held locks are renewed without the caller's help
	Waits  string // how a waiter learns that the lock is free

	// Reentrant says that goroutines which share a client do not exclude each other, so that a line of them is none.
	Reentrant bool

	// MaxLine is the longest line that it is asked to stand in; 0 is any. It is for those whose waiters all wake at each
	// release: beyond some length they show nothing but that they do not end.
	MaxLine int

	// Keys are those of the server that a lock is made of; it is lost with more than half of them. nil: its own name.
	Keys func(key string) []string

	// Open makes a client with connections of its own, shared with nobody.
	Open func(ctx context.Context, o Options) (Client, error)
}

// Options are the same for every contestant of a case.
type Options struct {
	TTL  time.Duration
	Dial Dialer // nil: the library's own
}

// Dialer makes a connection; package wire counts what passes over it.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Client is what one process of an application would hold.
type Client interface {
	Lock(ctx context.Context, key string) (Held, error) // waits until ctx is done
	Close() error
}

// Held is a lock that was granted.
//
// An interface and not a func: a func that closes over the lock would add an allocation of the benchmark's own.
type Held interface {
	Release(ctx context.Context) error
}

// Work is what a client is to do with locks that nobody else wants. It is one of: callers, pairs, take, look,
// free.
type Work struct {
	Key     string        `json:"key,omitempty"`
	Callers int           `json:"callers,omitempty"` // that take and free locks, each its own, Key/i
	For     time.Duration `json:"for,omitempty"`     // how long they go on
	Pairs   int           `json:"pairs,omitempty"`   // that one caller takes and frees, of Key itself
	Take    int           `json:"take,omitempty"`    // locks to take and keep, Key/i
	Look    bool          `json:"look,omitempty"`    // at what those need that are kept
	Free    bool          `json:"free,omitempty"`    // them
}

// Done is what came of it. Where nothing else is said, it is of the whole process: a library's own goroutines
// included.
type Done struct {
	Pairs float64         `json:"pairs,omitempty"`
	Took  time.Duration   `json:"took,omitempty"`  // until the last that was begun was done
	Times []time.Duration `json:"times,omitempty"` // of each pair of one caller

	Allocs     float64 `json:"allocs,omitempty"` // of all pairs
	AllocBytes float64 `json:"allocBytes,omitempty"`
	Goroutines float64 `json:"goroutines,omitempty"` // started for all pairs, without the callers

	Kept Footprint `json:"kept,omitzero"`  // of what is kept, all together
	Lost int       `json:"lost,omitempty"` // of what was freed, and was not ours any more
}

// Footprint is what a process needs once its garbage is gone. Stacks are memory too.
type Footprint struct {
	Memory     int64 `json:"memory"`
	Goroutines int   `json:"goroutines"`
}

// Worker is a Client in a process of its own. It works there: asking it for each lock would measure the
// asking.
type Worker interface {
	Work(ctx context.Context, w Work) (Done, error)
}

// Inspector is a Client that can say how many waiters its server knows of.
type Inspector interface {
	Waiters(ctx context.Context, key string) (int, error)
}
