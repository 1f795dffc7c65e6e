package fencelock

import (
	"context"
	"errors"
)

// Locker is what most code needs of a [Client], and what a wrapper implements.
// There is no unlock here: that belongs to the [Lease].
type Locker interface {
	// Lock waits until it holds the lock or ctx ends. ctx governs the wait only:
	// its end does not touch a lease that was granted.
	Lock(ctx context.Context, key string, opts ...LockOption) (*Lease, error)

	// TryLock does not wait for a holder: it returns ErrHeld at once.
	TryLock(ctx context.Context, key string, opts ...LockOption) (*Lease, error)
}

// Do runs fn under the lock of key, and unlocks when fn has returned or
// panicked. The context given to fn ends when the lease does, or when ctx does;
// context.Cause tells why.
//
// The returned error is fn's, joined with Unlock's: errors.Is(err, ErrLost) says
// that the lease had gone before fn was done, even if fn itself returned nil. If
// the lock was not granted, fn is not called.
func Do(ctx context.Context, l Locker, key string, fn func(context.Context, *Lease) error, opts ...LockOption) (err error) {
	switch {
	case l == nil:
		return &Error{Op: "lock", Key: key, Kind: ErrInvalid, Err: errors.New("the Locker is nil")}
	case fn == nil:
		return &Error{Op: "lock", Key: key, Kind: ErrInvalid, Err: errors.New("the function is nil")}
	}
	lease, err := l.Lock(ctx, key, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Unlock(ctx)) }()
	return fn(lease.Context(ctx), lease)
}
