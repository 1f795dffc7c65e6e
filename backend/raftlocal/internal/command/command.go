// Package command is what a client asks of the lock state machine, and what it answers:
// the words that stand in the log, on the wire, and in a snapshot's cache of replies.
package command

import (
	"time"
)

// SessionID names a client's session before it has a number. It is random.
type SessionID [16]byte

// Op is what a command does.
type Op uint8

// The operations. Their numbers are on the wire, and those up to Nop in the log, so a new one comes last. A
// member answers one that it does not know with Invalid, and the connection and the session go on.
const (
	Open       Op = iota + 1 // makes a session, or finds the one of this ID
	Close                    // ends a session; its claims stay, and end with their TTLs
	Acquire                  // takes a lock, or a position in its queue
	Release                  // ends the claim of an attempt
	Renew                    // extends claims, held or waiting, and tells how they stand
	Evict                    // ends the grant of a key
	Nop                      // changes nothing: a bare proposal
	Inspect                  // tells who holds a key; read only
	ListHeld                 // tells which keys are held; read only
	EvictClaim               // ends the grant that an attempt has of a key; the leader puts a Release in its place
)

func (o Op) String() string {
	names := [...]string{"", "open", "close", "acquire", "release", "renew", "evict", "nop", "inspect", "list held", "evict claim"}
	if int(o) < len(names) && o > 0 {
		return names[o]
	}
	return "unknown"
}

// ReadOnly reports whether it is answered without the log.
func (o Op) ReadOnly() bool { return o == Inspect || o == ListHeld }

// Logged reports whether it may stand in the log: whether members of all releases carry it out.
func (o Op) Logged() bool { return o >= Open && o <= Nop }

// Command is one request of a session. A session numbers its commands from 1 on. The state
// machine carries each out at most once, however often it is sent: it keeps the reply
// until Lowest, in a later command, says that it has arrived, and never again takes one
// with a lower number. So a late packet does nothing.
type Command struct {
	Session uint64 // the number of the session; 0 for Open
	Seq     uint64 // from 1 on; 0 for Open
	Lowest  uint64 // no reply to a command below this is waited for any more

	Op        Op
	ID        SessionID     // Open
	Key       string        // Acquire, Release, Evict, Inspect, EvictClaim; ListHeld: what the keys begin with
	AttemptID string        // Acquire, Release, EvictClaim
	Meta      string        // Acquire
	TTL       time.Duration // Acquire; of the session: Open
	Wait      bool          // Acquire: take a position in the queue if it is held
	// Claims are the numbers of claims: Renew, MaxClaims at most; Release, if it is known.
	// For ListHeld they are two other numbers: the cursor, which is 0 for the first page, and how many locks a
	// page has at the most.
	Claims []uint64
}

// MaxClaims is the most that one Renew names.
const MaxClaims = 1024

// MaxOutstanding is how many commands of a session may be without a known reply: the
// state machine keeps no more replies for it.
const MaxOutstanding = 4096

// Code is the outcome of a command, or the standing of a claim.
type Code uint8

// The codes.
const (
	OK          Code = iota + 1 // done: a session is open, a grant has ended, Nop
	Granted                     // Acquire, Renew: the claim holds the lock, by Token
	Waiting                     // Acquire, Renew: the claim waits
	Held                        // Acquire without Wait: another holds the lock or is ahead; with a Status if that is known
	NotHeld                     // Release, Renew, Evict: there is no such claim, or grant
	SessionGone                 // the session has ended; the command was not carried out, now or before, as far as can be known
	Done                        // its number is below Lowest: carried out or given up before
	Invalid                     // it breaks a limit
	Evicted                     // pushed: an operator has ended the grant
	Expired                     // pushed: the claim was not renewed in time
)

func (c Code) String() string {
	names := [...]string{"", "ok", "granted", "waiting", "held", "not held", "session gone", "done", "invalid", "evicted", "expired"}
	if int(c) < len(names) && c > 0 {
		return names[c]
	}
	return "unknown"
}

// Reply is the outcome of a command.
type Reply struct {
	Code   Code
	Number uint64 // the session's: Open; the claim's: Acquire; the cursor of the next page, 0 after the last: ListHeld
	Token  uint64 // Acquire, when Granted
	Claims []Claim
	Status Status // Inspect, Acquire when Held
	Locks  []Lock // ListHeld
}

// Lock is a key that is held, and who holds it.
type Lock struct {
	Key       string
	AttemptID string
	Meta      string
	Token     uint64
	Left      time.Duration // of the grant, by the cluster's clock
}

// Claim is how a claim stands.
type Claim struct {
	Number uint64
	Code   Code   // Granted, Waiting, NotHeld
	Token  uint64 // when Granted
}

// Status tells who holds a key.
type Status struct {
	Held      bool
	AttemptID string
	Meta      string
	Token     uint64
	Left      time.Duration // of the grant, by the cluster's clock
	Waiters   int
}

// Answer is the reply to a command, with the address of who waits for it.
type Answer struct {
	Session uint64
	Seq     uint64
	ID      SessionID // of Open, which has no other address
	Reply   Reply
}

// Push is a notification about a claim, not an answer: it was Granted, Evicted or
// has Expired.
type Push struct {
	Session uint64 // who made or last renewed the claim
	Claim   Claim
}

// Batch is what one entry of the log holds: commands of many clients, at one time of the
// cluster's clock.
type Batch struct {
	Stamp    int64 // nanoseconds
	Commands []Command
}

// The longest a command may carry, in bytes. A key is a namespace of 64 at most, a slash, and a
// key of the driver's.
const (
	MaxKey       = 64 + 1 + 1024
	MaxAttemptID = 64
	MaxMeta      = 1024
)

// Valid reports whether a command keeps all limits of its operation. One that does not is
// answered with Invalid, and does nothing else.
func (c *Command) Valid() bool {
	switch c.Op {
	case Open:
		return c.ID != SessionID{} && c.TTL >= 0
	case Close, Nop:
		return true
	case Acquire:
		return keyed(c.Key) && validAttemptID(c.AttemptID) && len(c.Meta) <= MaxMeta && c.TTL > 0
	case Release:
		if len(c.Claims) > 0 {
			return len(c.Claims) == 1
		}
		return keyed(c.Key) && validAttemptID(c.AttemptID)
	case Renew:
		return len(c.Claims) <= MaxClaims
	case Evict, Inspect:
		return keyed(c.Key)
	case EvictClaim:
		return keyed(c.Key) && validAttemptID(c.AttemptID)
	case ListHeld:
		return len(c.Key) <= MaxKey && len(c.Claims) == 2 && c.Claims[1] > 0
	default:
		return false
	}
}

func keyed(key string) bool { return key != "" && len(key) <= MaxKey }

func validAttemptID(attemptID string) bool { return attemptID != "" && len(attemptID) <= MaxAttemptID }
