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
	Floor bool // excludes nobody: it is the least that a lock can cost, and takes no part where several want one key
	// Elsewhere says that it is on another server than ours, of the same run: what passes on its wire, and what its server
	// writes, is not counted.
	Elsewhere bool

	// Child says that its clients are processes of their own, which measure there: each is a Worker, and takes part only where
	// one caller or many have keys of their own.
	Child bool

	Token  bool   // each grant carries a fencing token
	Renews bool   // held locks are renewed without the caller's help
	Waits  string // how a waiter learns that the lock is free

	// Reentrant says that goroutines which share a client do not exclude each other, so that a line of them is none.
	Reentrant bool

	// MaxLine is the longest line that it is asked to stand in; 0 is any. It is for those whose waiters all wake at each
	// release: beyond some length they show nothing but that they do not end.
	MaxLine int

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

// Work is what the callers of one client are to do: take locks that nobody else wants, and free them.
type Work struct {
	Key     string        `json:"key"`
	Callers int           `json:"callers,omitempty"` // each has a key of its own, Key/i; 0: one caller, with Key itself
	For     time.Duration `json:"for,omitempty"`     // how long many callers go on
	Pairs   int           `json:"pairs,omitempty"`   // how many the one caller takes
}

// Done is what came of it.
type Done struct {
	Pairs      float64         `json:"pairs"`
	Took       time.Duration   `json:"took"`            // until the last pair that was begun was done
	Times      []time.Duration `json:"times,omitempty"` // of each pair of one caller
	Allocs     float64         `json:"allocs"`          // of all pairs, in the whole process: a library's own goroutines included
	AllocBytes float64         `json:"allocBytes"`
	Goroutines float64         `json:"goroutines"` // started meanwhile, without the callers
}

// Worker is a Client in a process of its own. It does the work there: asking it for each lock would measure the asking.
type Worker interface {
	Work(ctx context.Context, w Work) (Done, error)
}

// Inspector is a Client that can say how many waiters its server knows of.
type Inspector interface {
	Waiters(ctx context.Context, key string) (int, error)
}
