package driver

import (
	"errors"
	"strconv"
	"time"
)

var (
	// ErrHeld means that another attempt holds the lock, or is before this one in its queue. Return a
	// [*HeldError].
	ErrHeld = errors.New("held by another")
	// ErrNotHeld means that the attempt does not hold the lock. The server has said so; it is never a
	// guess.
	ErrNotHeld = errors.New("not held")
	// ErrUnavailable means that the server could not be asked, or its answer did not
	// arrive. The request may have been carried out, unless ErrRefused comes with it.
	ErrUnavailable = errors.New("unavailable")
	// ErrRefused means that the server has answered, and has done nothing of what it was asked.
	// It comes together with ErrUnavailable where asking again may help (the server is
	// full, or loads its data), and alone where it would not (no permission).
	ErrRefused = errors.New("refused by the server")

	// ErrUnsupported means that the server, or the way it is set up, cannot do what is asked for. Open returns it.
	ErrUnsupported = errors.New("unsupported by the backend")
	// ErrInvalid means that an argument, an option or a URL is wrong; the message names it. Asking again with the
	// same does not help.
	ErrInvalid = errors.New("invalid")
	// ErrReleased is what Acquire returns for an attempt that has been released.
	ErrReleased = errors.New("this attempt has been released")
	// ErrEvicted is what Request.Lost is called with where the backend knows that an operator ended
	// the grant.
	ErrEvicted = errors.New("evicted by an operator")
)

// RequestTimeout bounds one request of a backend about a lease of this TTL: a third of it, so that a
// renewal that gets no answer leaves time for two more, and 3 s at most.
func RequestTimeout(ttl time.Duration) time.Duration { return min(ttl/3, 3*time.Second) }

// HeldError is [ErrHeld] with what is known besides. A backend whose Acquire
// does not block returns it, with a hint, to a waiting caller.
type HeldError struct {
	// RetryAfter tells the core when asking again may help. Zero lets it choose.
	RetryAfter time.Duration

	// Identity is the holder's Request.Identity, and Left what is left of its lease unless it is renewed.
	// Both are for people, and zero where the backend does not know.
	Identity string
	Left     time.Duration
}

func (e *HeldError) Error() string {
	text := ErrHeld.Error()
	if e.Identity != "" {
		text += " (" + strconv.Quote(e.Identity) + ")"
	}
	if e.Left > 0 {
		text += ", for " + e.Left.Round(time.Millisecond).String() + " more unless it renews"
	}
	return text
}

// Is reports whether target is [ErrHeld].
func (e *HeldError) Is(target error) bool { return target == ErrHeld }
