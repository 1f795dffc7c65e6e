package fencelock

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// trustedUntil is the moment at which a grant is given up, a tenth of the TTL
// before the server can let another in: for clocks that run at slightly different
// rates, and for the holder to notice. Time for which the machine was suspended since
// Start, as far as the clock has been looked at, comes off.
func (c *Client) trustedUntil(g driver.Grant) time.Time {
	return g.Start.Add(g.TTL - g.TTL/10 - c.clock.Lost(g.Start))
}

// endsLocked is when the lease ends unless it is renewed: when its grant is given up, or when
// WithMaxHold is over, whichever is sooner. Called with mu held.
func (l *Lease) endsLocked() time.Time {
	ends := l.client.trustedUntil(l.grant)
	if bound := l.maxHoldEndsLocked(); l.maxHold > 0 && bound.Before(ends) {
		return bound
	}
	return ends
}

// maxHoldEndsLocked is when WithMaxHold is over. Time for which the machine was suspended
// counts, though the monotonic clock has not counted it. Called with mu held.
func (l *Lease) maxHoldEndsLocked() time.Time {
	return l.since.Add(l.maxHold - l.client.clock.Lost(l.since))
}

// leftOfMaxHold is how much is left of WithMaxHold, or a very long time where there is no such bound.
func (l *Lease) leftOfMaxHold() time.Duration {
	if l.maxHold == 0 {
		return math.MaxInt64
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.maxHoldEndsLocked())
}

// overdueLocked reports whether the deadline has passed. Called with mu held.
func (l *Lease) overdueLocked() bool { return !time.Now().Before(l.endsLocked()) }

// onLost is Request.Lost of the attempt.
//
// Against Unlock, which may want to keep the lock (WithMinHold): if Unlock has ended the lease
// but keeps nothing yet, keep finds lostEarly; if it keeps the lock already, what keeps it is
// told.
func (l *Lease) onLost(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.kept != nil:
		go l.kept.onLost(why)
		return
	case l.since.IsZero(), l.err != nil:
		l.lostEarly = why
		return
	}
	go func() { // must not block the backend
		l.tell(l.lose(fmt.Errorf("the server ended it: %w", explainNotHeld(withoutContext(why)))))
	}()
}

// expire ends the lease because its deadline has passed. It returns what is to be told,
// or nil if the lease had ended before.
//
// A renewal may be confirmed between the look at the clock and this. It comes
// too late: the lease was not trusted any more when it was looked at, and a lease
// that is lost stays lost. In the other order the deadline had moved when the
// clock was looked at.
func (l *Lease) expire() (loss *Error) {
	l.mu.Lock()
	why, asleep := l.renewErr, l.client.clock.Lost(l.grant.Start)
	slow := tooSlow(l.took, l.grant.TTL)
	byMaxHold := l.maxHold > 0 && !l.client.trustedUntil(l.grant).Before(l.maxHoldEndsLocked())
	l.mu.Unlock()
	if byMaxHold {
		return l.lose(fmt.Errorf("%w: WithMaxHold is %v", ErrMaxHold, l.maxHold))
	}
	text := "no renewal was confirmed in time"
	if slow != "" {
		text += " (the lock was granted" + slow + ")"
	}
	if asleep > 0 {
		text += fmt.Sprintf(", of which a suspend of the machine took %v, rounded up", asleep.Round(time.Millisecond))
	}
	if why != nil {
		return l.lose(fmt.Errorf("%s: %w", text, why))
	}
	return l.lose(errors.New(text))
}

// lose ends the lease because it has gone. What may still be on the server is left to
// expire, or for Unlock to release: only then has the holder's work really stopped. It
// returns what is to be told, or nil if the lease had ended before.
func (l *Lease) lose(why error) (loss *Error) {
	loss = &Error{Op: "hold", Backend: l.client.info.Name, Key: l.grant.Key, Kind: ErrLost, Err: why}
	if !l.end(loss) {
		return nil
	}
	return loss
}

// explainNotHeld explains an answer that says no more than that the grant is not held. Servers
// keep no record of why.
func explainNotHeld(why error) error {
	if why.Error() != driver.ErrNotHeld.Error() {
		return why // it has the reason
	}
	return fmt.Errorf("%w: the server does not have this lock any more: it expired there, was evicted, or its data was deleted or lost "+
		"(FLUSHALL on Redis, a restart without data, a fail-over)", why)
}

// tell reports a loss that lose has returned, if it is one, to the log and the observer. It does
// not wait for them.
func (l *Lease) tell(loss *Error) {
	if loss == nil {
		return
	}
	defer l.client.telling.done()
	l.report(loss)
}

// report gives a loss to the log and the observer, once for each lease. A lock that was only kept
// for its minimum hold is no lease any more: its holder has unlocked, so the log alone is told.
func (l *Lease) report(loss *Error) {
	if l.letGo != nil {
		l.client.log.Warn("fencelock: lock lost before its WithMinHold was over", "key", l.grant.Key, "token", l.Token(), "err", loss.Err)
		return
	}
	l.client.log.Error("fencelock: lease lost", "key", l.grant.Key, "token", l.Token(), "err", loss.Err)
	l.client.observe(l.client.detached, Event{
		Kind: EventLost, Key: l.grant.Key, Token: l.Token(), Held: l.lasted, Err: loss,
	})
}

// end brings the lease to its final state; then a loss is to be told. The first call wins,
// and only it returns true: a loss that comes after Unlock has begun is no loss, an Unlock
// that comes after the loss reports it. All contexts are cancelled before end
// returns, and so before Unlock sends the release.
func (l *Lease) end(err error) bool {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return false
	}
	l.err, l.lasted = err, time.Since(l.since)
	if errors.Is(err, ErrLost) {
		// Under mu, so that Close, which ends every lease, waits for tell. Who sees that Done is
		// closed may close the client, and the program, at once.
		l.client.telling.add()
	}
	if l.renewErr != nil {
		l.client.renewal.failing.Add(-1)
	}
	if l.letGo != nil {
		l.letGo.Stop()
	}
	for cancel := range l.contexts {
		(*cancel)(l.errLocked())
	}
	l.contexts = nil
	if l.done != nil {
		close(l.done)
	}
	l.mu.Unlock()

	l.client.renewal.remove(l)
	l.client.mu.Lock()
	l.client.held.remove(l)
	l.client.mu.Unlock()
	return true
}
