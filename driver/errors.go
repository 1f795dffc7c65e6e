package driver

import (
	"errors"
	"time"
)

var (
	// ErrHeld: another owner holds the lock, or is ahead in its queue. Return a
	// [*HeldError].
	ErrHeld = errors.New("held by another")
	// ErrNotHeld: the owner does not hold the lock; said by the server, not
	// guessed.
	ErrNotHeld = errors.New("not held")
	// ErrUnavailable: the server could not be asked, or its answer did not
	// arrive. The request may have been carried out.
	ErrUnavailable = errors.New("unavailable")
)

// HeldError is [ErrHeld] with what is known besides. A backend whose Acquire
// does not block returns it, with a hint, to a waiting caller.
type HeldError struct {
	// RetryAfter tells the core when asking again may help. Zero lets it choose.
	RetryAfter time.Duration
}

func (e *HeldError) Error() string { return ErrHeld.Error() }

// Is reports whether target is [ErrHeld].
func (e *HeldError) Is(target error) bool { return target == ErrHeld }
