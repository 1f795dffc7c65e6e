package fencelock

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// What an application may branch on, with [errors.Is]. Each means one thing, on
// every backend.
var (
	// ErrHeld: another holds the lock, or waits for it already. TryLock returns it; and
	// Lock, together with its context's error, when the context ended while the server
	// said so.
	ErrHeld = driver.ErrHeld
	// ErrNotHeld: nobody holds the lock that Evict was to free.
	ErrNotHeld = driver.ErrNotHeld
	// ErrLost: the lease ended before Unlock: it was not renewed in time, or the
	// server said that it is gone, or an operator evicted it. Work done under it
	// may have overlapped with another holder's; the token tells whose is newer.
	ErrLost = errors.New("lease lost")
	// ErrUnlocked: the lease has ended by Unlock.
	ErrUnlocked = errors.New("unlocked")
	// ErrUnavailable: the server could not be asked, and nothing is held. For a
	// lock: what the requests may have left on the server is being cleaned up,
	// and ends by itself after the TTL. It comes together with a context's error where the
	// context ended while the server was silent.
	ErrUnavailable = driver.ErrUnavailable
	// ErrUnknown: the request was sent and no answer came, so that it may or may
	// not have been carried out. For Unlock: the lock is free now, or will be
	// when its TTL has passed.
	ErrUnknown = errors.New("outcome unknown")
	// ErrRefused: the server has answered, and has done nothing of what it was asked. It
	// comes together with ErrUnavailable where asking again later may help (it is full, or
	// loads its data), and alone where it would not (no permission). For Unlock: renewal
	// has stopped, and the lock is free when its TTL has passed.
	ErrRefused = driver.ErrRefused
	// ErrUnsupported: the backend does not reach what Options.RequireGuarantee or
	// Options.RequireFeatures ask for.
	ErrUnsupported = driver.ErrUnsupported
	// ErrClosed: the client has been closed.
	ErrClosed = errors.New("client closed")
	// ErrInvalid: an argument, an option or a URL is wrong; the message names it.
	ErrInvalid = driver.ErrInvalid
)

// HeldError is ErrHeld with who holds the lock, and for how long yet, where the backend knows: use errors.As
// with a *HeldError.
type HeldError = driver.HeldError

// Error is what the methods of [Client] and [Lease] return. Match it with
// errors.Is(err, ErrHeld) and so on; the context's error and the server's own
// are reachable through errors.Is and errors.As too. It matches context.Canceled or
// context.DeadlineExceeded only if a context ended that the caller gave: a request that
// took too long does not, whatever the network's own error is.
type Error struct {
	Op      string // "open", "lock", "try lock", "hold", "ensure", "unlock", "inspect", "evict", "health", "close"
	Backend string // Info.Name
	Key     string // empty for Open and Close
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

// Unwrap returns Kind and Err, those that are there.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// sameText says that err's message has kind's already.
func sameText(kind, err error) bool {
	return err != nil && strings.Contains(err.Error(), kind.Error())
}

// own returns an error of the backend's for a caller none of whose contexts ended: it
// does not match a context's error, as a time-out of ours, or of the network, may do.
func own(err error) error {
	if err == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return ownError{err}
}

// ownError has no Unwrap, so that errors.Is and errors.As ask it and not what is inside.
type ownError struct{ err error }

// Error does not tell of a context either.
func (e ownError) Error() string {
	return strings.ReplaceAll(e.err.Error(), context.DeadlineExceeded.Error(), "no answer in time")
}

func (e ownError) Is(target error) bool {
	return target != context.Canceled && target != context.DeadlineExceeded && errors.Is(e.err, target)
}

func (e ownError) As(target any) bool { return errors.As(e.err, target) }

// endedBy reports whether err says no more than that ctx has ended. A backend that sets
// its own timers by ctx may be told of it a moment earlier than ctx itself.
func endedBy(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))
	}
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline) && errors.Is(err, context.DeadlineExceeded)
}
