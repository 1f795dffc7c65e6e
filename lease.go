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
// tenths of the TTL. Nothing can delay that, not a request that hangs either.
// When it ends, Done is closed and the contexts made by Context are cancelled.
//
// A process that is paused cannot notice that its lease ends. Send Token along
// with each write, and check it at the resource (package fencing).
//
// A Lease is safe for concurrent use.
type Lease struct {
	client *Client
	key    string
	token  fencing.Token
	since  time.Time
	done   chan struct{}

	mu        sync.Mutex
	grant     driver.Grant // Start and TTL follow the renewals
	err       error        // nil while held
	renewErr  error        // of the last renewal, if it failed
	deadline  *time.Timer
	lostEarly error // the server told of the loss before hold
	contexts  map[*context.CancelCauseFunc]struct{}

	unlocking sync.Mutex // held while a release is sent
	unlocked  *outcome   // of Unlock, once it is final; guarded by unlocking

	renewalEntry // guarded by the renewal's mutex
}

// trustedUntil is the moment at which a grant is given up, a tenth of the TTL
// before the server can let another in: for clocks that run at slightly different
// rates, and for the holder to notice.
func trustedUntil(g driver.Grant) time.Time { return g.Start.Add(g.TTL - g.TTL/10) }

// newLease makes a lease that is not held yet: an attempt's.
func (c *Client) newLease(key string) *Lease {
	l := &Lease{client: c, key: key, done: make(chan struct{})}
	l.index = -1
	return l
}

// onLost is Request.Lost of the attempt.
func (l *Lease) onLost(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deadline == nil {
		l.lostEarly = why
		return
	}
	go l.lose(fmt.Errorf("the server ended it: %w", why)) // must not block the backend
}

// hold gives the lease its grant, and starts its deadline and renewal.
func (l *Lease) hold(g driver.Grant) {
	c := l.client
	c.mu.Lock()
	c.leases[l] = struct{}{}
	c.mu.Unlock()

	l.mu.Lock() // the timer may fire, and the server call, before all is set
	l.token, l.since, l.grant = g.Token, time.Now(), g
	l.deadline = time.AfterFunc(time.Until(trustedUntil(g)), l.onDeadline)
	early := l.lostEarly
	l.mu.Unlock()
	if early != nil {
		l.onLost(early)
	}
	c.renewal.add(l, g.Start.Add(renewEvery(g.TTL)), g.TTL)
}

// Key is the key that was locked.
func (l *Lease) Key() string { return l.key }

// Token is the fencing token of this grant: greater than that of any earlier
// grant of the key. It never changes.
func (l *Lease) Token() fencing.Token { return l.token }

// Done is closed when the lease has ended, by Unlock or by loss.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Err is nil while the lease is held; after that an error that matches
// ErrUnlocked or ErrLost. It looks at the clock itself, so that a process that
// was paused learns of the loss from it before anything else has run.
func (l *Lease) Err() error {
	l.mu.Lock()
	err, overdue := l.err, !time.Now().Before(trustedUntil(l.grant))
	l.mu.Unlock()
	if err == nil && overdue {
		l.expire()
		l.mu.Lock()
		err = l.err
		l.mu.Unlock()
	}
	return err
}

// ValidUntil is when the lease ends unless it is renewed before. It moves with
// each renewal. It reads the monotonic clock of this process; use it with
// time.Until.
func (l *Lease) ValidUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return trustedUntil(l.grant)
}

// Context returns a context that ends with the lease, or with parent. After the
// lease has ended, context.Cause gives the lease's Err. It needs no cancel
// function of its own: Unlock is that.
func (l *Lease) Context(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		cancel(l.err)
		return ctx
	}
	if l.contexts == nil {
		l.contexts = make(map[*context.CancelCauseFunc]struct{})
	}
	l.contexts[&cancel] = struct{}{}
	// A parent that ends first takes its entry away, or a long lease with many
	// short-lived contexts would grow.
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.contexts, &cancel)
	})
	return ctx
}

// onDeadline runs when the deadline timer fires. It may be early, when a renewal
// was confirmed at the same moment.
func (l *Lease) onDeadline() {
	l.mu.Lock()
	left := time.Until(trustedUntil(l.grant))
	if left > 0 && l.err == nil {
		l.deadline.Reset(left)
	}
	l.mu.Unlock()
	if left <= 0 {
		l.expire()
	}
}

// expire ends the lease, if it has not ended, because its deadline has passed.
//
// A renewal may be confirmed between the look at the clock and this. It comes
// too late: the lease was not trusted any more when it was looked at, and a lease
// that is lost stays lost. In the other order the deadline had moved when the
// clock was looked at.
func (l *Lease) expire() {
	l.mu.Lock()
	why := l.renewErr
	l.mu.Unlock()
	if why != nil {
		l.lose(fmt.Errorf("no renewal was confirmed in time: %w", why))
	} else {
		l.lose(errors.New("no renewal was confirmed in time"))
	}
}

// lose ends the lease because it has gone. What may still be on the server is
// left to expire, or for Unlock to release: only then has the holder's work
// really stopped.
func (l *Lease) lose(why error) {
	err := &Error{Op: "hold", Backend: l.client.info.Name, Key: l.key, Kind: ErrLost, Err: why}
	if !l.end(err) {
		return
	}
	l.client.log.Error("fencelock: lease lost", "key", l.key, "token", l.token, "err", why)
	l.client.observe(context.Background(), Event{
		Kind: EventLost, Key: l.key, Token: l.token, Took: time.Since(l.since), Err: err,
	})
}

// end brings the lease to its final state. The first call wins, and only it
// returns true: a loss that comes after Unlock has begun is no loss, an Unlock
// that comes after the loss reports it. All contexts are cancelled before end
// returns, and so before Unlock sends the release.
func (l *Lease) end(err error) bool {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return false
	}
	l.err = err
	l.deadline.Stop()
	for cancel := range l.contexts {
		(*cancel)(err)
	}
	l.contexts = nil
	close(l.done)
	l.mu.Unlock()

	l.client.renewal.remove(l)
	l.client.mu.Lock()
	delete(l.client.leases, l)
	l.client.mu.Unlock()
	return true
}

// Ensure returns nil if the lease is held and has at least d left, after
// renewing it now if need be: before a step that takes long and cannot be
// interrupted. It cannot promise more than nine tenths of the TTL (ErrInvalid).
// An error that matches ErrLost or ErrUnlocked says that the lease has ended; any
// other leaves it as it was.
func (l *Lease) Ensure(ctx context.Context, d time.Duration) error {
	fail := func(kind, err error) error {
		return &Error{Op: "ensure", Backend: l.client.info.Name, Key: l.key, Kind: kind, Err: err}
	}
	l.mu.Lock()
	grant := l.grant
	l.mu.Unlock()
	if most := grant.TTL - grant.TTL/10; d > most {
		return fail(ErrInvalid, fmt.Errorf("d is %v; a lease with a TTL of %v has at most %v", d, grant.TTL, most))
	}
	if err := l.Err(); err != nil {
		return err
	}
	if time.Until(l.ValidUntil()) >= d {
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
			return l.client.fault(ctx, "ensure", l.key, context.Cause(ctx))
		}
		return fail(ErrUnavailable, fmt.Errorf("%v left instead of %v: %w", left.Round(time.Millisecond), d, why))
	}
	return nil
}
