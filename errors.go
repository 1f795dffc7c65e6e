package fencelock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// What an application may branch on, with [errors.Is]. Each means one thing on every backend.
// An error of one of these kinds matches none of the others, with four exceptions: ErrRefused
// comes with ErrUnavailable where asking again may help, ErrMaxHold with ErrLost, and ErrUnlocked
// with ErrClosed where Close ended the lease; and where a context of the caller's ended, the error
// also matches that context's error and its [context.Cause].
var (
	// ErrHeld means that another holds the lock, or waits for it already. TryLock returns it,
	// and so does Lock, together with its context's error, when the context ended while the
	// server said so. TryLock's has a [HeldError], where the server tells who holds it.
	ErrHeld = driver.ErrHeld
	// ErrNotHeld means that Evict found nobody to evict: the lock is free, or an attempt other
	// than the one named holds it. No other method returns it.
	ErrNotHeld = driver.ErrNotHeld
	// ErrLost means that the lease ended before Unlock: it was not renewed in time, the
	// server said that it is gone, an operator evicted it, or WithMaxHold ended it. Work done
	// under it may have overlapped with another holder's; the token tells whose is newer.
	ErrLost = errors.New("lease lost")
	// ErrMaxHold means that the time of WithMaxHold is over. It comes with ErrLost. Ensure
	// returns it without ErrLost where less of that time is left than was asked for.
	ErrMaxHold = errors.New("held for the longest time allowed")
	// ErrUnlocked means that the lease has ended by Unlock, or by Close.
	ErrUnlocked = errors.New("unlocked")
	// ErrUnavailable means that the server could not be asked, or did not answer, and that
	// this changed nothing for the caller. From Lock and TryLock: nothing is held. What the
	// requests may have left on the server is being cleaned up, and ends by itself after the
	// TTL. From Ensure: the lease is as it was. It comes together with a context's error where
	// the context ended while the server was silent.
	ErrUnavailable = driver.ErrUnavailable
	// ErrUnknown means that a request was sent which changes something, and no answer came:
	// it may or may not have been carried out. Unlock and Evict return it. After Unlock the
	// lock is free now, or will be when its TTL has passed.
	ErrUnknown = errors.New("outcome unknown")
	// ErrRefused means that the server has answered, and has done nothing of what it was
	// asked. It comes together with ErrUnavailable where asking again later may help (the
	// server is full, or loads its data), and alone where it would not (no permission). After
	// Unlock, renewal has stopped, and the lock is free when its TTL has passed.
	ErrRefused = driver.ErrRefused
	// ErrUnsupported means that the backend does not reach what Options.RequireGuarantee or
	// Options.RequireFeatures ask for, or that the server is too old for what was asked.
	ErrUnsupported = driver.ErrUnsupported
	// ErrClosed means that the client has been closed.
	ErrClosed = errors.New("client closed")
	// ErrInvalid means that an argument, an option or a URL is wrong. The message names it.
	ErrInvalid = driver.ErrInvalid
)

// HeldError is an ErrHeld that says who holds the lock: Identity is what the holder's
// [Options.Identity] or [WithIdentity] says, and Left how much is left of its lease unless that is
// renewed. Both are zero where the server does not tell; RetryAfter is for backends. Get it with
// errors.As and a *HeldError. As a rule only an error of TryLock has one: after Lock ask
// [Client.Inspect].
type HeldError = driver.HeldError

// Error is what the methods of [Client] and [Lease] return. Match it with
// errors.Is(err, ErrHeld) and so on; the context's error and the server's own
// are reachable through errors.Is and errors.As too. It matches context.Canceled or
// context.DeadlineExceeded only if a context ended that the caller gave: a request that
// took too long does not, whatever the network's own error is.
type Error struct {
	Op      string // "open", "lock", "try lock", "hold", "ensure", "unlock", "inspect", "list", "evict", "health", "close"
	Backend string // Info.Name
	Key     string // the prefix for ListHeld; empty for Open and Close
	Kind    error  // one of the Err… values; nil for a server's own error, or a context that had ended before
	Err     error  // what lies under it; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("fencelock: ")
	b.WriteString(e.Op)
	if e.Key != "" {
		b.WriteString(" " + quoteKey(e.Key))
	}
	if e.Backend != "" {
		b.WriteString(" (" + e.Backend + ")")
	}
	if e.Kind != nil && !sameText(e.Kind, e.Err) {
		b.WriteString(": " + e.Kind.Error())
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Kind, and Err without the kinds that are not Kind. A request of Unlock that
// got no answer is ErrUnknown, though what failed inside was ErrUnavailable.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.Err != nil {
		errs = append(errs, cause{e.Kind, e.Err})
	}
	return errs
}

// kinds are the values that mean one thing each.
var kinds = []error{ErrHeld, ErrNotHeld, ErrLost, ErrUnavailable, ErrUnknown, ErrRefused, ErrUnsupported, ErrInvalid}

// cause is what lies under an Error of a kind, or of none. It matches what the error inside does,
// but not other kinds. It has no Unwrap, so that errors.Is and errors.As ask it and not what is inside.
type cause struct{ kind, err error }

func (c cause) Error() string { return c.err.Error() }

func (c cause) Is(target error) bool {
	if !slices.Contains(kinds, target) || c.kind == target ||
		c.kind == ErrRefused && target == ErrUnavailable || c.kind == ErrUnavailable && target == ErrRefused {
		return errors.Is(c.err, target)
	}
	// The context of the call may have ended for a reason of another kind: it may be the
	// context of a lease that was lost.
	var ended contextError
	return errors.As(c.err, &ended) && errors.Is(ended.error, target)
}

func (c cause) As(target any) bool {
	if _, held := target.(**HeldError); held && c.kind != ErrHeld { //nolint:errorlint // a kind is a value
		return false
	}
	return errors.As(c.err, target)
}

// contextError is why a context of the caller's has ended.
type contextError struct{ error }

func (e contextError) Unwrap() error { return e.error }

// sameText says that err's message has kind's already.
func sameText(kind, err error) bool {
	return err != nil && strings.Contains(err.Error(), kind.Error())
}

// withoutContext returns an error of the backend's that does not match a context's error. It is
// for a caller whose own context lives: a time-out of ours, or of the network, may match one.
func withoutContext(err error) error {
	if err == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return hiddenContext{err}
}

// hiddenContext has no Unwrap, so that errors.Is and errors.As ask it and not what is inside.
type hiddenContext struct{ err error }

// Error does not tell of a context either.
func (e hiddenContext) Error() string {
	return strings.ReplaceAll(e.err.Error(), context.DeadlineExceeded.Error(), "no answer in time")
}

func (e hiddenContext) Is(target error) bool {
	return target != context.Canceled && target != context.DeadlineExceeded && errors.Is(e.err, target)
}

func (e hiddenContext) As(target any) bool { return errors.As(e.err, target) }

// endedBy reports whether err says no more than that ctx has ended. A backend that sets
// its own timers by ctx may be told of it a moment earlier than ctx itself.
func endedBy(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))
	}
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline) && errors.Is(err, context.DeadlineExceeded)
}

// kindOf returns the kind of an error of the backend's, or nil if it has none of its own.
func kindOf(err error) error {
	for _, kind := range []error{ErrHeld, ErrRefused, ErrUnavailable, ErrUnsupported, ErrInvalid} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// callError makes the error of a call that failed with err, while its context lives.
func (c *Client) callError(op, key string, err error) error {
	return &Error{Op: op, Backend: c.info.Name, Key: key, Kind: kindOf(err), Err: withoutContext(err)}
}

// requestError is callError for a call of one request, whose context may have ended.
func (c *Client) requestError(ctx context.Context, op, key string, err error) error {
	if ctx.Err() == nil {
		return c.callError(op, key, err)
	}
	last := &lastAnswer{}
	if !endedBy(ctx, err) {
		last.failed(withoutContext(err))
	}
	return c.contextEnded(ctx, op, key, err, last)
}

// contextEnded makes the error of a call whose context has ended: the context's, what the backend
// has returned then, which may say more, or nil, and what was last heard from the server;
// nil if nothing has been asked. A client that is closed explains all of it.
func (c *Client) contextEnded(ctx context.Context, op, key string, returned error, last *lastAnswer) error {
	e := &Error{Op: op, Backend: c.info.Name, Key: key, Err: whyEnded(ctx)}
	if errors.Is(e.Err, ErrClosed) {
		e.Kind, e.Err = ErrClosed, nil
		return e
	}
	if last == nil {
		return e
	}
	kind, why := last.errorKind()
	e.Kind = kind
	if why == nil {
		return e
	}
	if endedBy(ctx, returned) && len(returned.Error()) > len(e.Err.Error()) {
		why = fmt.Errorf("%w: %w", why, returned)
	}
	e.Err = fmt.Errorf("%w (%w)", e.Err, why)
	return e
}

// whyEnded says why ctx has ended: by the caller's own context, or since the client is
// closed.
func whyEnded(ctx context.Context) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrClosed):
		return cause
	case errors.Is(cause, ctx.Err()):
		return contextError{cause}
	}
	return contextError{fmt.Errorf("%w: %w", ctx.Err(), cause)}
}
