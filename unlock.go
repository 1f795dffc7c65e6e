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

// freed is the outcome that nearly all have.
var freed = &outcome{}

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
//
// Before the time of [WithMinHold] is over Unlock sends no request: it returns nil, or ErrLost,
// by what the client knows.
func (l *Lease) Unlock(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background() // an error would keep the lock
	}
	// The clock first: a lease whose time was over, only that nobody had looked, is lost.
	// Below, a release that finds nothing may be taken for the second of two, since
	// the lease was held when the work stopped.
	_ = l.Err()
	l.end(ErrUnlocked)

	// One at a time sends the release; the others get its result.
	l.unlocking.Lock() // for as long as the one before us takes, which is bounded
	defer l.unlocking.Unlock()
	if l.unlocked != nil {
		return l.unlocked.err
	}
	if l.keep() {
		l.unlocked = freed
		l.reportUnlock(ctx, 0, nil)
		return nil
	}
	began := time.Now()
	err, final := l.release(ctx)
	switch {
	case final && err == nil:
		l.unlocked = freed
	case final:
		l.unlocked = &outcome{err}
	}
	l.reportUnlock(ctx, time.Since(began), err)
	return err
}

// reportUnlock tells the observer, once, that Unlock has ended the lease, or that Unlock has
// found it lost, even if an Unlock before could not find out. A loss that was found before
// Unlock has been told already. Called with unlocking held.
func (l *Lease) reportUnlock(ctx context.Context, took time.Duration, err error) {
	l.mu.Lock()
	held := errors.Is(l.err, ErrUnlocked)
	l.mu.Unlock()
	switch {
	case held && errors.Is(err, ErrLost): // and final
		var loss *Error
		errors.As(err, &loss)
		l.report(loss)
	case held && !l.reported && l.letGo == nil:
		l.client.observe(ctx, Event{
			Kind: EventUnlocked, Key: l.grant.Key, Token: l.Token(), Held: l.lasted, Took: took, Err: err,
		})
	}
	l.reported = true
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
		return &Error{Op: "unlock", Backend: l.client.info.Name, Key: l.grant.Key, Kind: kind, Err: withoutContext(err)}
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
		once := &lazyContext{from: ctx, ends: l.client.requestEnds(grant.TTL)}
		err := answer(once, l.client.backend.Release(once, grant))
		once.finish(nil)
		refused := errors.Is(err, driver.ErrRefused)
		switch {
		case err == nil, errors.Is(err, driver.ErrNotHeld) && l.mayBeFree:
			return nil, true
		case errors.Is(err, driver.ErrNotHeld) && l.refusal != nil && !time.Now().Before(expired):
			return fail(ErrRefused, l.refusal), true // its time has run out, after the work had stopped
		case errors.Is(err, driver.ErrNotHeld):
			return fail(ErrLost, explainNotHeld(err)), true
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
			l.client.janitor.tell(l.grant.Key, err)
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

// keep has the client keep the lock of a lease that Unlock has ended, until its WithMinHold is
// over. It returns false if there is nothing to keep. Called with unlocking held, after end.
//
// What keeps the lock is a lease of its own that nobody can see: it has the grant, and is
// renewed, lost, and unlocked by Close as any other.
//
// Against Close: if Close is first, the client is closed and Unlock releases the lock itself; if
// keep is first, Close finds the new lease among those that it unlocks. Against a loss that the
// server tells of, see onLost. A renewal of the old lease that is under way may be confirmed
// later: the new one then renews from an earlier Start than it need, which harms nothing.
func (l *Lease) keep() bool {
	if l.minHold == 0 || l.mayBeFree || l.refusal != nil {
		return false
	}
	left := l.minHold - time.Since(l.since)
	if left <= 0 {
		return false
	}
	k := l.client.newLease(l.grant.Key, &lockConfig{})
	if !l.handTo(k, left) {
		return false
	}
	l.client.renewal.add(k)
	return true
}

// handTo gives the grant of a lease that has ended by Unlock to another, which keeps it for so
// long, unless it is lost or the client is closed.
func (l *Lease) handTo(k *Lease, left time.Duration) bool {
	c := l.client
	k.mu.Lock() // its time may come, and Close find it, before all is set
	defer k.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || l.lostEarly != nil || !errors.Is(l.err, ErrUnlocked) {
		return false
	}
	k.since, k.grant, k.took = l.since, l.grant, l.took
	k.letGo = time.AfterFunc(left, k.endMinHold)
	k.watchLocked()
	l.kept = k
	return true
}

// endMinHold releases a lock whose minimum hold is over.
//
// Against Close: if Close is first, it unlocks the lease itself. If this is first, it counts as
// a call that Close waits for, and so the janitor has the release before Close stops it.
func (l *Lease) endMinHold() {
	c := l.client
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.idle.Add(1)
	c.mu.Unlock()
	defer c.idle.Done()
	if l.end(ErrUnlocked) {
		grant, _ := l.current()
		c.janitor.release(grant)
	}
}
