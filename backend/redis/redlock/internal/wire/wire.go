// Package wire has what a client and the nodes of a Redlock say to each other: the requests that
// the recipe makes, that package script turns into Lua, and that package model carries out in Go.
package wire

import (
	"context"
	"time"
)

// ID names one try of an attempt to lock. A try has a number of its own: the numbers of a client
// only rise, so that no late packet of an older try can act for a newer one.
type ID struct {
	AttemptID string // driver.Request.AttemptID
	Try       uint64
}

// Request is one of Take, WriteBack, Renew, Repair, End, Look, Scan and Holders. Each is one script,
// and one step of the node.
type Request interface{ request() }

// Take takes the key for a try, where it is free or has a lower try of the same attempt, and raises
// the counter: round 1. It is sent once to each node, and never again under the same ID.
type Take struct {
	Key       string
	ID        ID
	TTL       time.Duration // as the node counts it
	Floor     uint64        // the counter becomes this at least; a hint of what others have granted
	Tokenless bool          // leave the counter alone
	Meta      string
	Channel   string // of this client: where notifications go
	Queue     bool   // where another has the key: join the waiters of this node, or stay among them
	Position  uint64 // in the queue, as a node told it before; zero for the end of it
}

// TakeReply answers Take.
type TakeReply struct {
	Outcome Outcome // Done, Other or Over
	Count   uint64  // the counter: for Done what this take has made of it

	// With Other: who has the key, and until when, by the node's clock.
	Holder   Holder
	Position uint64 // in the queue; zero for who is not in it
	First    bool   // nobody waits before it
}

// Holder is who has a key on a node.
type Holder struct {
	ID    ID
	Meta  string
	Token uint64 // before the write-back, what its take made of the counter
	Left  time.Duration
}

// WriteBack raises the counter to Token, where the key has the ID: round 2. It also notes the token
// in the record of the key.
type WriteBack struct {
	Key   string
	ID    ID
	Token uint64
}

// Renew extends leases where the keys have the IDs, raises the counters to their tokens, and never
// takes a key.
type Renew struct{ Leases []Lease }

// Lease is one lease of a Renew.
type Lease struct {
	Key   string
	ID    ID
	TTL   time.Duration
	Token uint64
}

// RenewReply answers Renew, lease by lease: Done, None or Other.
type RenewReply struct{ Outcomes []Outcome }

// Repair gives a node that lacks it the key of a lease that a majority has just confirmed, for the
// time that is left of it, and raises the counter to its token.
type Repair struct {
	Lease

	Meta    string
	Channel string
}

// End ends the claim of an attempt: the key, if it has this try or a lower one of the attempt, and the
// attempt's position among the waiters. Where the key is free then, the first waiter is told.
type End struct {
	Key string
	ID  ID
	// KeepOut has the node refuse Take and Repair of this try and lower ones for this long, since
	// one may be on its way. Zero if none can be.
	KeepOut time.Duration
	Evict   bool // tell the holder

	// Failed says that no more than a try has ended: its attempt goes on, or another has the key on the
	// other nodes. So nobody is told, for one who is would fail here too, and wake the next in turn;
	// and the attempt's position among the waiters stays. With Queue it gets one: as in Take, for the TTL.
	Failed   bool
	Queue    bool
	Position uint64
	Channel  string
	TTL      time.Duration
}

// Look tells who has a key.
type Look struct{ Key string }

// LookReply answers Look.
type LookReply struct {
	Held    bool
	Holder  Holder
	Count   uint64
	Waiters int
}

// Scan asks which keys begin with Prefix and are locked on a node. The answer comes in parts. A key that is locked
// from before the first part until after the last is in one of them, if all parts have the same Boot.
type Scan struct {
	Prefix string
	From   string // Next of the part before; empty for the first part
	Count  int    // about how many names the server looks at
}

// ScanReply answers Scan. A key may come twice.
type ScanReply struct {
	Keys []string
	Next string // empty after the last part
	Boot string // names the list, the node and the process of its server
}

// Holders asks who has each of a few keys.
type Holders struct{ Keys []string }

// HoldersReply answers Holders, key by key. The Holder of a key that nobody has is the zero value.
type HoldersReply struct{ Holders []Holder }

// Reply answers WriteBack (Done, None or Other), Repair (Done, Other or Over) and End (Done if it
// has ended a key, None if there was none, or another's).
type Reply struct {
	Outcome Outcome
	Woke    bool // End: a waiter was told
}

func (Take) request()      {}
func (WriteBack) request() {}
func (Renew) request()     {}
func (Repair) request()    {}
func (End) request()       {}
func (Look) request()      {}
func (Scan) request()      {}
func (Holders) request()   {}

// Outcome is what a node made of a request.
type Outcome uint8

const (
	Done  Outcome = iota + 1
	None          // nobody has the key
	Other         // another attempt has it, or another try of the same
	Ended         // the try was ended before, or a higher one of its attempt has been there
)

// Node is one master of the list, as the recipe sees it.
type Node interface {
	// Send sends a request, unless ctx has ended by then, and calls done once with the reply,
	// by value, or with an error: from any goroutine, perhaps before Send returns. done does not block.
	// An error wraps driver.ErrUnavailable or driver.ErrRefused; ErrNotSent besides if the request was
	// not sent, and will not be. Send does not block, and a node that is not fit answers at once.
	Send(ctx context.Context, r Request, timeout time.Duration, done func(reply any, err error))

	// Fit is nil while the node may be asked; otherwise why not, as an error for people.
	Fit() error

	// Name is the node's address.
	Name() string
}

// Notice is what a node tells a client unasked. It is a hint: it may be lost, late, or come twice.
type Notice struct {
	Kind      NoticeKind
	AttemptID string
	Count     uint64 // with Free: the counter
}

// NoticeKind is Free or Evicted.
type NoticeKind uint8

const (
	Free        NoticeKind = iota + 1 // the key that the attempt waits for may be free
	Evicted                           // an operator has ended the attempt's grant
	NoticesLost                       // notices may have been lost: ask about everything
)

type notSent struct{}

func (notSent) Error() string { return "not sent" }

// ErrNotSent: a request was not sent, and will not be.
var ErrNotSent error = notSent{}
