package driver

import (
	"context"
	"strings"
	"time"

	"github.com/fencelock/fencelock/fencing"
)

// Backend is what a lock server, or a library that acts as one, does for
// fencelock. It has no optional parts: what varies between backends is data, in
// [Info], [Grant] and [HeldError].
//
// The core takes care of everything that is the same everywhere: the queue of
// goroutines inside one process, retries, renewal, the deadline at which a lease
// is given up, clean-up after a failed acquire, errors, logs and events. So a
// Backend starts no renewal of its own and retries nothing that the core can
// retry.
//
// # Contract
//
// Each rule is a test of package drivertest, under the name in brackets.
//
//   - Methods are safe for concurrent use, and return when ctx is done, soon
//     enough that a caller does not notice, whatever the network does
//     [ReturnsWhenContextDone]. They leak no goroutine past Close.
//   - Keys are any valid UTF-8 of 1 to [MaxKeyLen] bytes. They are case-sensitive
//     and never interpreted: "a/b", "..", " " and a prefix of another key are
//     keys like any other [Keys].
//   - Trust only the local monotonic clock, read before a request is sent. The
//     wall clock of a client decides nothing. Where that clock stands still while the
//     machine is suspended, the core takes the time off a lease that began before, see
//     [Grant].Start; so Start is always a reading, never one that was moved.
//   - An error after which asking again may help wraps [ErrUnavailable]; any other
//     means that it would not (no permission, say). An error of an answer that says that
//     nothing was done wraps [ErrRefused], with ErrUnavailable or without; one without
//     ErrRefused leaves open whether the request was carried out. (No rule: it takes a
//     server that refuses. Try each of its errors by hand.) Definitive answers have
//     errors of their own, [ErrHeld] and [ErrNotHeld], which are never used for a guess
//     [UnavailableIsNotDefinitive].
type Backend interface {
	// Acquire takes the lock for req.AttemptID, or waits for it.
	//
	// At most one unexpired grant of a key exists at any time [Exclusion].
	//
	// Acquire is idempotent per attempt: called again while the attempt holds the
	// key, it returns the same token, never a second grant and never ErrHeld
	// [RetryReturnsSameGrant]; called again while the attempt waits, it keeps its
	// position [RetryKeepsPosition]. A packet of an attempt that has been released
	// never grants anything, however late it arrives: it gets an error, whichever
	// [ReleasedAttemptStaysOut].
	//
	// With req.Wait false it does not wait for the holder: it returns a
	// [*HeldError] at once and leaves nothing on the server [TryDoesNotWait].
	//
	// With req.Wait true it may block in the server's queue, for longer than any
	// TTL, keeping its own position alive [WaitOutlivesTTL]; or return a *HeldError
	// with a hint, and be called again with the same AttemptID. When ctx ends it
	// returns ctx's error and leaves cleaning up to Release.
	//
	// Tokens of a key strictly increase from grant to grant: through release
	// [TokensRiseThroughRelease], expiry [TokensRiseThroughExpiry], eviction
	// [TokensRiseThroughEviction], and whatever else the declared [Guarantee]
	// covers [TokensRiseThroughFailover].
	//
	// A claim whose waiter stopped asking is never handed to a waiter that asks
	// again later as if nothing had happened: a grant is alive when Acquire
	// returns it [GrantIsAlive].
	Acquire(ctx context.Context, req Request) (Grant, error)

	// Renew extends grants to their TTL from now: a batch, of any size, answered
	// by one Renewal for each Grant, in order [RenewKeepsOrder].
	//
	// It only ever extends. A grant that has expired, was released or evicted
	// gets ErrNotHeld, even when the key is free [RenewDoesNotResurrect], and
	// stays lost. One grant's failure says nothing about the next.
	Renew(ctx context.Context, grants []Grant) []Renewal

	// Release ends the claim of g.AttemptID on g.Key, held or still waiting, and no
	// other's [ReleaseOnlyOwn]. Only Key and AttemptID may be known: the core calls
	// it so after every failed or cancelled Acquire, whether or not the request
	// ever reached the server [ReleaseByAttempt].
	//
	// It returns nil when it ended a grant; ErrNotHeld when there was nothing to
	// end, which includes a grant that had expired [ReleaseTellsLoss] and a position
	// in a queue. A waiting attempt that is released does not delay those behind
	// it [ReleasedWaiterLeavesQueue].
	Release(ctx context.Context, g Grant) error

	// Inspect tells who holds a key, for people: by the time it returns, the
	// answer may be old. A key that nobody holds gives a Status without Holders, and nil
	// [Inspect].
	Inspect(ctx context.Context, key string) (Status, error)

	// ListHeld tells which locks are held whose keys begin with prefix, for people: a page
	// of limit at the most, which is 1 or more. An empty prefix stands for all keys of the
	// namespace. The first page has an empty cursor; each later one has the Next of the page
	// before [ListHeldPages]. A page may have fewer locks than limit, or none, though others
	// follow.
	//
	// A lock that is held from before the first page is asked for until after the last has
	// come is listed [ListHeld]; one that nobody held meanwhile is not. Keys are compared with the
	// prefix byte for byte [ListHeldOnlyPrefix]. A backend whose listing misses locks when the
	// server restarts meanwhile says so in its package comment. No order is promised, and a key
	// may come twice. A cursor that no page has had gives ErrInvalid, where that is
	// noticed. Nothing of what ListHeld does delays a lock.
	ListHeld(ctx context.Context, prefix, cursor string, limit int) (Page, error)

	// Evict ends the grant that attemptID has of the key, or, if that is empty, whatever
	// grant the key has, by an operator's decision. It ends no other's
	// [EvictOnlyThatAttempt]. The next waiter gets the lock; the holder's next Renew says
	// ErrNotHeld, and its Request.Lost is called where the backend can tell it sooner.
	// ErrNotHeld when that attempt does not hold the key, or nobody does [Evict].
	Evict(ctx context.Context, key, attemptID string) error

	// Info never changes over a Backend's life, and matches what it does [Info].
	Info() Info

	// Close frees the connections. It does not release grants; the core has done
	// so before. Calls under way end with an error. It may be called twice
	// [CloseLeavesGrants].
	Close() error
}

// MaxKeyLen is the length of the longest key in bytes.
const MaxKeyLen = 1024

// MaxIdentityLen and MaxMetaLen are the lengths of the longest Request.Identity and
// Request.Meta in bytes. What [JoinIdentity] makes of both has 1,024 bytes at the most.
const (
	MaxIdentityLen = 255
	MaxMetaLen     = 768
)

// Request asks for a lock. The core has checked it against the limits named
// here and in [Info].
type Request struct {
	Key string

	// AttemptID names this one attempt to lock. It is random, made again for each call
	// of Lock or TryLock, and 1 to 64 characters from 0-9, A-Z, a-z, '-', '_'.
	AttemptID string

	// Identity says who asks for the lock, and Meta what the application wants to be known
	// of it. Inspect and ListHeld show both, for people [InspectShowsHolder]. Both are UTF-8
	// up to MaxIdentityLen and MaxMetaLen bytes, possibly empty; Identity has no NUL.
	Identity, Meta string

	// TTL is how long the grant lives on the server unless it is renewed, from
	// Info.MinTTL to Info.MaxTTL, in whole milliseconds.
	TTL time.Duration

	// Wait asks to wait for the holder.
	Wait bool

	// Lost, if it is not nil, is called when the backend learns, before Renew
	// does, that the grant is gone for certain, and why: never for a grant that
	// was released, or that may still be there. It may be called from anywhere,
	// also before Acquire has returned, and more than once; it does not block. It
	// is a function, and not a channel, so that the core can watch any number of
	// grants without a goroutine, and without memory, for each.
	Lost func(why error)

	// Waiting, if it is not nil, is called each time that the server has confirmed that
	// the attempt waits: at once with the first answer that says so, and from then on, while
	// the server answers, at least once in half a TTL [WaitingIsTold]; never for a guess,
	// as while it is silent [SilenceIsNotWaiting]. A *HeldError says the same. From it the
	// core knows an outage from a holder who takes long. It may be called from anywhere,
	// and does not block.
	Waiting func()

	// Retry says that an earlier request of this attempt ended without an answer,
	// and may still be under way. Without it, and once its own requests have been
	// answered, a backend knows that no packet of this attempt can be late.
	Retry bool
}

// Grant is a lock that is held.
type Grant struct {
	Key, AttemptID string

	// Token is the fencing token: greater than that of any earlier grant of Key.
	Token fencing.Token

	// Start is a reading of the local monotonic clock from which the server
	// cannot have counted the TTL earlier: taken before the request was sent that
	// granted or last renewed. For a grant that was pushed to a waiter it is the
	// send time of the last request whose reply still said "waiting", so that a
	// push can be trusted without asking again [StartIsBeforeRequest].
	//
	// The core charges a grant for a suspend of the machine if Start was read before
	// it. Requests that were sent before, and have confirmed several grants, may go on
	// being the Start of some: those are refused if too little is left, and asked for
	// again, until the backend has heard from the server again.
	Start time.Time

	// TTL is what the server granted: Request.TTL, or more. Counted from Start, it
	// ends no later than the grant does on the server.
	TTL time.Duration

	// Handle is the backend's own. It is nil where the core knows only Key and
	// AttemptID.
	Handle any
}

// Renewal is the outcome of renewing one Grant.
type Renewal struct {
	// Start and TTL replace those of the Grant, when Err is nil.
	Start time.Time
	TTL   time.Duration

	// Err is nil, or wraps ErrNotHeld if the grant is gone for certain. Any other
	// error leaves the question open, and the core asks again.
	Err error
}

// Status tells who holds the lock of a key.
type Status struct {
	Key string

	// Holders are the attempts that hold the lock now; none if it is free. There is one at the
	// most today. Shared locks and permits will have several.
	Holders []Holder

	// Waiters is the number of attempts that are queued on the server; -1 where the backend cannot
	// tell, and is not Fair, or where the question was ListHeld.
	Waiters int
}

// Held reports whether anybody holds the lock.
func (s Status) Held() bool { return len(s.Holders) > 0 }

// Holder is an attempt that holds a lock.
type Holder struct {
	AttemptID string        // Request.AttemptID, for Evict
	Identity  string        // Request.Identity
	Meta      string        // Request.Meta
	Token     fencing.Token // of the grant
	Left      time.Duration // of the lease on the server, unless it is renewed
}

// Page is a part of what ListHeld has found.
type Page struct {
	Locks []Status

	// Next is the cursor of the page that follows, and empty after the last.
	Next string
}

// JoinIdentity makes one string of a request's Identity and Meta, for servers whose records
// have one field for both. An identity without meta is itself.
func JoinIdentity(identity, meta string) string {
	if meta == "" {
		return identity
	}
	return identity + "\x00" + meta
}

// SplitIdentity is the inverse of [JoinIdentity].
func SplitIdentity(joined string) (identity, meta string) {
	identity, meta, _ = strings.Cut(joined, "\x00")
	return identity, meta
}
