package fencelock

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// outcome is the result of Unlock, once it is final.
type outcome struct{ err error }

// Unlock ends the lease and frees the lock. The lease has ended, and its contexts
// are cancelled, before the request is sent; so stop the work before calling it.
//
// It may be called any number of times, from several goroutines, and with a dead
// context: it always sends the request once, detached from ctx and bounded in
// time by a fourth of the TTL, at most 3 s. While ctx lives it tries again after
// a failure.
//
// It returns nil when the lock was held until now and is free; an error of kind
// ErrLost when the lease had gone before, so that the work may have overlapped
// with another holder's; of kind ErrUnknown when the server did not answer. Then
// renewal has stopped all the same, the lock is released in the background or
// ends with its TTL, and Unlock may be called again.
func (l *Lease) Unlock(ctx context.Context) error {
	// The clock first: a lease whose time was over, only that nobody had looked, is lost.
	// Below, a release that finds nothing may be taken for the second of two, since
	// the lease was held when the work stopped.
	_ = l.Err()
	ended := l.end(&Error{Op: "hold", Backend: l.client.info.Name, Key: l.key, Kind: ErrUnlocked})

	// One at a time sends the release; the others get its result.
	l.unlocking.Lock() // for as long as the one before us takes, which is bounded
	defer l.unlocking.Unlock()
	if l.unlocked != nil {
		return l.unlocked.err
	}
	err, final := l.release(ctx)
	if final {
		l.unlocked = &outcome{err}
	}
	if ended {
		l.client.observe(ctx, Event{
			Kind: EventUnlocked, Key: l.key, Token: l.token, Took: time.Since(l.since), Err: err,
		})
	}
	return err
}

// release frees the lock on the server, and says whether that settles it.
func (l *Lease) release(ctx context.Context) (err error, final bool) {
	fail := func(kind, err error) error {
		return &Error{Op: "unlock", Backend: l.client.info.Name, Key: l.key, Kind: kind, Err: err}
	}
	l.mu.Lock()
	grant, lost := l.grant, l.err
	l.mu.Unlock()
	if errors.Is(lost, ErrLost) {
		// The server may still have it, for the last tenth of the TTL or because a
		// renewal arrived late: free it for those who wait, without waiting here.
		l.client.janitor.release(grant)
		var e *Error
		errors.As(lost, &e)
		return fail(ErrLost, e.Err), true
	}
	expired := grant.Start.Add(grant.TTL) // on the server, at the earliest
	for try := 1; ; try++ {
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout(grant.TTL))
		err := l.client.backend.Release(once, grant)
		cancel()
		switch {
		case err == nil:
			return nil, true
		case errors.Is(err, driver.ErrNotHeld) && try > 1:
			// The lease was held when the first request was sent. That one freed
			// it, and its answer was lost.
			return nil, true
		case errors.Is(err, driver.ErrNotHeld):
			return fail(ErrLost, err), true
		}
		if !time.Now().Before(expired) || ctx.Err() != nil || !sleep(ctx, backoff(try, grant.TTL)) {
			l.client.janitor.release(grant)
			return fail(ErrUnknown, err), false
		}
	}
}
