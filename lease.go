package fencelock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Lease is a lock that is held. It is renewed by itself until Unlock, and ends
// before anybody else can get the lock: counted on the local monotonic clock,
// from before the request that granted or last renewed it was sent, after nine
// tenths of the TTL. Nothing can delay that, not even a hung request. Only
// [Client.Evict], or a server that has lost its data, lets another in before this lease is told.
// When it ends, Done is closed and the contexts made by Context are cancelled.
//
// A process that is paused cannot notice that its lease ends. When it goes on, ask
// Err, or the Err of a context made by Context, before the next step: they look at the
// clock themselves, while Done may be closed a moment later. And send Token along
// with each write, and check it at the resource (package fencing): between the look
// and the write the process may be paused again.
//
// A Lease is safe for concurrent use.
type Lease struct {
	client *Client
	since  time.Time // of the grant

	minHold, maxHold time.Duration // since the grant; zero where there is no bound

	mu        sync.Mutex
	grant     driver.Grant  // Start and TTL follow the renewals; the rest never changes, and needs no mu
	err       error         // nil while held; ErrUnlocked until somebody asks for more, see errLocked
	renewErr  error         // of the last renewal, if it failed
	took      time.Duration // for the grant to come; zero once a renewal was in time
	lasted    time.Duration // from since until err was set
	lostEarly error         // the server told of the loss before hold, or while Unlock began
	kept      *Lease        // what keeps the lock after Unlock, see keep
	letGo     *time.Timer   // of a lease that is kept so; nil for all others
	contexts  map[*context.CancelCauseFunc]struct{}
	done      chan struct{} // nil until somebody asks for it

	unlocking sync.Mutex // held while a release is sent; guards the next four
	unlocked  *outcome   // of Unlock, once it is final
	reported  bool       // the observer knows of Unlock
	mayBeFree bool       // by a release whose outcome is not known
	refusal   error      // of the last release that was refused

	ends slot // in Client.held, guarded by the client's mutex

	renewalEntry // guarded by the renewal's mutex
}

// newLease makes a lease that is not held yet: an attempt's.
func (c *Client) newLease(key string, cfg *lockConfig) *Lease {
	return &Lease{client: c, grant: driver.Grant{Key: key}, minHold: cfg.minHold, maxHold: cfg.maxHold}
}

// hold gives the lease its grant, which took so long to come, and starts its deadline and
// renewal.
func (l *Lease) hold(g driver.Grant, took time.Duration) {
	c := l.client
	l.mu.Lock() // the timer may fire, and the server call, before all is set
	l.since, l.grant, l.took = time.Now(), g, took
	l.watch()
	early := l.lostEarly
	l.mu.Unlock()
	if early != nil {
		l.onLost(early)
	}
	c.renewal.add(l)
}

// Key is the key that was locked.
func (l *Lease) Key() string { return l.grant.Key }

// Token is the fencing token of this grant: greater than that of any earlier
// grant of the key. It never changes. Options.TokenBase is in it. It is zero, which no resource admits, where
// the URL has switched tokens off (token=false of redlock://) and Info.Tokenless says so.
func (l *Lease) Token() fencing.Token { return l.client.outward(l.grant.Token) }

// Done is closed when the lease has ended, by Unlock or by loss. After a wait, ask Err
// instead: when a process goes on that was paused, a goroutine whose data has come
// meanwhile may run before the timer that closes Done.
func (l *Lease) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		}
	}
	return l.done
}

// Err is nil while the lease is held; after that an error that matches
// ErrUnlocked or ErrLost. It looks at the clock itself, so that a process that
// was paused, or whose machine was suspended, learns of the loss from it before
// anything else has run. It does not block, and waits for neither logger nor observer.
func (l *Lease) Err() error {
	l.client.clock.Look()
	l.mu.Lock()
	err, overdue := l.errLocked(), l.overdueLocked()
	l.mu.Unlock()
	if err == nil && overdue {
		l.tell(l.expire())
		l.mu.Lock()
		err = l.errLocked()
		l.mu.Unlock()
	}
	return err
}

// errLocked is err in full. Mostly nobody asks for it after Unlock. Called with mu held.
func (l *Lease) errLocked() error {
	if l.err == ErrUnlocked { //nolint:errorlint // itself
		l.err = &Error{Op: "hold", Backend: l.client.info.Name, Key: l.grant.Key, Kind: ErrUnlocked}
	}
	return l.err
}

// ValidUntil is when the lease ends unless it is renewed before. It moves with
// each renewal. It reads the monotonic clock of this process; use it with
// time.Until. It is earlier by the time for which the machine was suspended, and by
// 2 s more, from when that is over until the next renewal. It is never later than WithMaxHold
// allows.
func (l *Lease) ValidUntil() time.Time {
	l.client.clock.Look()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endsLocked()
}

// Ensure returns nil if the lease is held and has at least d left, after renewing it now if need
// be: before a step that takes long and cannot be interrupted. It cannot promise more than nine
// tenths of the TTL, nor more than WithMaxHold (ErrInvalid). Where less than d is left of
// WithMaxHold the error matches ErrMaxHold. One that matches ErrLost or ErrUnlocked says that
// the lease has ended; any other leaves it as it was.
func (l *Lease) Ensure(ctx context.Context, d time.Duration) error {
	fail := func(kind, err error) error {
		return &Error{Op: "ensure", Backend: l.client.info.Name, Key: l.grant.Key, Kind: kind, Err: err}
	}
	if ctx == nil {
		return fail(ErrInvalid, errNilContext)
	}
	l.mu.Lock()
	grant := l.grant
	l.mu.Unlock()
	if most := grant.TTL - grant.TTL/10; d > most {
		return fail(ErrInvalid, fmt.Errorf("d is %v; a lease with a TTL of %v has at most %v", d, grant.TTL, most))
	}
	if l.maxHold > 0 && d > l.maxHold {
		return fail(ErrInvalid, fmt.Errorf("d is %v; WithMaxHold lets this lease be held for %v", d, l.maxHold))
	}
	if err := l.Err(); err != nil {
		return err
	}
	if left := l.leftOfMaxHold(); left < d {
		return fail(ErrMaxHold, fmt.Errorf("%v of WithMaxHold(%v) left instead of %v", left.Round(time.Millisecond), l.maxHold, d))
	}
	// A wake-up that cost no time may have been a short one that the kernel did not
	// count: ask.
	if time.Until(l.ValidUntil()) >= d && !l.client.clock.Woke(grant.Start) {
		return nil
	}
	l.client.renewOnce(ctx, []*Lease{l})
	if err := l.Err(); err != nil {
		return err
	}
	if left := time.Until(l.ValidUntil()); left < d {
		l.mu.Lock()
		why := l.renewErr
		l.mu.Unlock()
		if why == nil {
			why = errors.New("the renewal took too long")
		}
		if ctx.Err() != nil {
			return l.client.requestError(ctx, "ensure", l.grant.Key, why)
		}
		kind := ErrUnavailable
		if errors.Is(why, ErrRefused) {
			kind = ErrRefused
		}
		return fail(kind, fmt.Errorf("%v left instead of %v: %w", left.Round(time.Millisecond), d, why))
	}
	return nil
}
