package fencelock

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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

// overdueLocked reports whether the deadline has passed. Called with mu held.
func (l *Lease) overdueLocked() bool { return !time.Now().Before(l.client.trustedUntil(l.grant)) }

// onLost is Request.Lost of the attempt.
func (l *Lease) onLost(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deadline == nil {
		l.lostEarly = why
		return
	}
	go func() { l.tell(l.lose(fmt.Errorf("the server ended it: %w", gone(own(why))))) }() // must not block the backend
}

// onDeadline runs when the deadline timer fires. It may be early, when a renewal
// was confirmed at the same moment.
func (l *Lease) onDeadline() {
	l.mu.Lock()
	left := time.Until(l.client.trustedUntil(l.grant))
	if left > 0 && l.err == nil {
		l.deadline.Reset(left)
	}
	l.mu.Unlock()
	if left <= 0 {
		l.tell(l.expire())
	}
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
	l.mu.Unlock()
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
	loss = &Error{Op: "hold", Backend: l.client.info.Name, Key: l.key, Kind: ErrLost, Err: why}
	if !l.end(loss) {
		return nil
	}
	return loss
}

// gone explains an answer that says no more than that the grant is not held. Servers keep no
// record of why.
func gone(why error) error {
	if why.Error() != driver.ErrNotHeld.Error() {
		return why // it has the reason
	}
	return fmt.Errorf("%w: the server does not have this lock any more: it expired there, was evicted, or its data was deleted or lost "+
		"(FLUSHALL on Redis, a restart without data, a fail-over)", why)
}

// tell reports a loss, if it is one, to the log and the observer. It does not wait for
// them.
func (l *Lease) tell(loss *Error) {
	if loss == nil {
		return
	}
	defer l.client.telling.Done()
	l.client.log.Error("fencelock: lease lost", "key", l.key, "token", l.token, "err", loss.Err)
	l.client.observe(l.client.detached, Event{
		Kind: EventLost, Key: l.key, Token: l.token, Took: time.Since(l.since), Err: loss,
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
	l.err = err
	if errors.Is(err, ErrLost) {
		// Under mu, so that Close, which ends every lease, waits for tell. Who sees that Done is
		// closed may close the client, and the program, at once.
		l.client.telling.Add(1)
	}
	if l.renewErr != nil {
		l.client.renewal.failing.Add(-1)
	}
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

// woken has everything looked at again, and renewed, after the machine was suspended or
// its wall clock was set. A lease that is being made is either here already, or will look
// at the clock when it sets its timer, see hold.
func (c *Client) woken() {
	c.mu.Lock()
	leases := slices.Collect(maps.Keys(c.leases))
	c.mu.Unlock()
	for _, l := range leases {
		l.rearm()
	}
	c.renewal.hasten()
}

// rearm sets the deadline's timer anew, after the machine has woken up.
func (l *Lease) rearm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deadline != nil && l.err == nil {
		l.deadline.Reset(time.Until(l.client.trustedUntil(l.grant)))
	}
}
