package fencelock

import (
	"context"
	"errors"
	"fmt"
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
// with another holder's; of kind ErrRefused when the server has said no; of kind
// ErrUnknown when it did not answer, or did not say what it has done. With the last two
// renewal has stopped all the same, and the lock ends with its TTL. It is released in the
// background, if that may help, and Unlock may be called again: nil then says that the
// lock is free, whichever request freed it.
func (l *Lease) Unlock(ctx context.Context) error { //nolint:contextcheck // a nil one is replaced
	if ctx == nil {
		ctx = context.Background() // an error would keep the lock
	}
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

// release frees the lock on the server, and says whether that settles it. Called with
// unlocking held.
//
// ErrNotHeld has two meanings. If no request before can have freed the lock, somebody
// else has, or its time was over: that is a loss. If one can have, because its outcome is
// not known or the janitor has been at it, it did what was asked: the lease was held, by
// our clock, when that one was sent, and the work had stopped by then. An eviction of
// which nobody had told us is not seen in that case; nor could it be. A request that was
// refused has done nothing, and so does not explain that the lock is gone.
func (l *Lease) release(ctx context.Context) (err error, final bool) {
	fail := func(kind, err error) error {
		return &Error{Op: "unlock", Backend: l.client.info.Name, Key: l.key, Kind: kind, Err: own(err)}
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
		once, cancel := context.WithDeadline(context.WithoutCancel(ctx), l.client.requestEnds(grant.TTL))
		err := answer(once, l.client.backend.Release(once, grant))
		cancel()
		refused := errors.Is(err, driver.ErrRefused)
		switch {
		case err == nil, errors.Is(err, driver.ErrNotHeld) && l.mayBeFree:
			return nil, true
		case errors.Is(err, driver.ErrNotHeld) && l.refusal != nil && !time.Now().Before(expired):
			return fail(ErrRefused, l.refusal), true // its time has run out, after the work had stopped
		case errors.Is(err, driver.ErrNotHeld):
			return fail(ErrLost, gone(err)), true
		case refused:
			l.refusal = err
		default:
			l.mayBeFree = true
		}
		kind := ErrUnknown
		if !l.mayBeFree { // all that was sent was refused
			kind = ErrRefused
		}
		if !errors.Is(err, driver.ErrUnavailable) {
			// Asking again would not help, so nobody does, the janitor neither.
			l.client.janitor.tell(l.key, err)
			return fail(kind, err), false
		}
		if !time.Now().Before(expired) || l.client.requestsOver() || ctx.Err() != nil || !sleep(ctx, backoff(try, grant.TTL)) {
			l.client.janitor.release(grant)
			l.mayBeFree = true // by the janitor, for the next Unlock
			return fail(kind, err), false
		}
	}
}

// answer returns the error of a request that was sent under ctx, a context of ours: one
// that says no more than that its time was up is silence.
func answer(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	for _, known := range []error{driver.ErrNotHeld, driver.ErrRefused, driver.ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}
