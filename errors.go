package fencelock

import (
	"errors"
	"strings"

	"github.com/fencelock/fencelock/driver"
)

// What an application may branch on, with [errors.Is]. Each means one thing, on
// every backend.
var (
	// ErrHeld: another holds the lock, or waits for it already. Only TryLock
	// returns it.
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
	// and ends by itself after the TTL.
	ErrUnavailable = driver.ErrUnavailable
	// ErrUnknown: the request was sent and no answer came, so that it may or may
	// not have been carried out. For Unlock: the lock is free now, or will be
	// when its TTL has passed.
	ErrUnknown = errors.New("outcome unknown")
	// ErrUnsupported: the backend does not reach what Options.Require or
	// Options.Features ask for.
	ErrUnsupported = errors.New("unsupported by the backend")
	// ErrClosed: the client has been closed.
	ErrClosed = errors.New("client closed")
	// ErrInvalid: an argument, an option or a URL is wrong; the message names it.
	ErrInvalid = errors.New("invalid")
)

// Error is what the methods of [Client] and [Lease] return. Match it with
// errors.Is(err, ErrHeld) and so on; the context's error and the server's own
// are reachable through errors.Is and errors.As too.
type Error struct {
	Op      string // "open", "lock", "try lock", "hold", "ensure", "unlock", "inspect", "evict", "close"
	Backend string // Info.Name
	Key     string // empty for Open and Close
	Kind    error  // one of the Err… values; nil for a context's end or a server's own error
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

// sameText says that err's message begins with kind's already.
func sameText(kind, err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), kind.Error())
}
