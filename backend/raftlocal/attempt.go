package raftlocal

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver/attempts"
)

// attempt is what this backend knows of one attempt to lock, besides what the ledger does: what the cluster
// has of it, its claim. It is Grant.Handle. All but backend is guarded by backend.mu, as is the ledger's
// part.
//
// It is Sent from its first request on. When the last call of Acquire leaves, that is looked at again.
type attempt struct {
	attempts.Attempt
	backend *backend
	waiting func() // told each time that the cluster confirms that it waits; may be nil

	claim  claimState
	number [1]uint64 // the cluster's name for its claim; a slice of it is what a command takes
	token  uint64
	// start is from when the TTL counts at the earliest. While it waits: when the last
	// request was sent whose reply still said so. Zero if that is not known.
	start time.Time
	turn  chan struct{} // closed when it waits no longer; nil if nobody waits for that

	first bool // no request but one was ever made, so that a grant began after that was sent
	tried bool // a release may have been carried out
	swept bool // forgotten to free memory: see registry.sweep

	// until is when the cluster has forgotten the claim by itself, if no call is under way and no lease
	// handed out.
	until time.Time

	renewing bool // the renewal by keep is under way
	urgent   bool // the next must not wait
}

// claimState is what the cluster has said of a claim last.
type claimState uint8

const (
	unknown claimState = iota // nothing: it may have one or not; or there is none any more, and the attempt is Gone
	queued                    // it waits
	holding                   // it holds the lock
)

// OnReply records the reply to a request of the attempt.
//
// Two calls of one attempt may be under way, and their claims be different ones, if the first has ended
// meanwhile. An attempt has one claim at a time, and the later one has the higher number. So a lower number
// than the one that is known is that of an old claim, and a higher one proves that the old has ended: if that
// was handed out, its grant is lost. What the cluster has then is nobody's: the call of Acquire fails, and
// the core releases it by the attempt id.
func (a *attempt) OnReply(o *client.Outcome) {
	b := a.backend
	var confirmed func()
	var lost func(error)
	b.mu.Lock()
	switch code := o.Reply.Code; {
	case o.Err != nil: // the caller that waits for it knows what to do
	case a.Phase() == attempts.Gone:
		// A push or a renewal told of its end meanwhile. This reply is older.
	case code != command.Granted && code != command.Waiting, o.Reply.Number < a.number[0]:
	case o.Reply.Number > a.number[0] && a.Phase() == attempts.Held:
		lost = b.registry.forget(a)
	case code == command.Granted:
		b.registry.know(a, o.Reply.Number)
		start := o.Sent
		if !a.first {
			// It may be the grant that an earlier request has got.
			start = time.Time{}
		}
		b.registry.hold(a, o.Reply.Token, start)
	default:
		b.registry.know(a, o.Reply.Number)
		// If it is known to hold the lock, the reply is the one to a first copy of the request.
		confirmed = b.registry.queue(a, o.Sent, o.Resent)
	}
	b.mu.Unlock()
	if confirmed != nil {
		confirmed()
	}
	if lost != nil {
		lost(errLost)
	}
}

// forgotten reports whether the cluster has ended a claim by itself, since nobody has asked about it for so
// long.
func (a *attempt) forgotten(now time.Time) bool {
	until := a.until
	if a.Phase() == attempts.Held {
		until = a.Expires().Add(a.TTL + sweeping)
	}
	return a.Calls() == 0 && until.Before(now)
}
