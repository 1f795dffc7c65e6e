package fencelock

import "time"

// The deadlines of all leases that a client holds are watched by one timer, which no request can delay.

// watch has the deadline looked at when it comes. It may be moved to a later time without this: whoever
// looks then calls watch again. Called with mu held, while the lease is held.
func (l *Lease) watch() {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	l.watchLocked()
}

// watchLocked is watch with mu of the client held, too. It computes the deadline under that mutex, which
// woken takes: a wake-up is either seen here, or woken comes later and finds the lease.
func (l *Lease) watchLocked() {
	c := l.client
	at := l.endsLocked().Sub(c.made)
	if l.ends.place > 0 && l.ends.at <= at {
		return
	}
	c.held.put(l, at)
	c.held.arm()
}

// lookAtDeadlines runs when the timer fires. It looks at each lease whose deadline may have come. If the
// timer is set again meanwhile, two may do that side by side.
func (c *Client) lookAtDeadlines() {
	c.mu.Lock()
	c.held.fired()
	for c.held.first() <= time.Since(c.made) {
		l := c.held.leases[0]
		c.held.put(l, never) // until watch; it stays, since Close has to find it
		c.mu.Unlock()
		l.onDeadline()
		c.mu.Lock()
	}
	c.held.arm()
	c.mu.Unlock()
}

// onDeadline ends the lease if its deadline has come. A renewal that was confirmed may have moved it.
func (l *Lease) onDeadline() {
	l.mu.Lock()
	left := time.Until(l.endsLocked())
	if left > 0 && l.err == nil {
		l.watch()
	}
	l.mu.Unlock()
	if left <= 0 {
		l.tell(l.expire())
	}
}

// woken has everything looked at again, and renewed, after the machine was suspended or
// its wall clock was set.
func (c *Client) woken() {
	c.mu.Lock()
	c.held.allAt(time.Since(c.made))
	c.held.arm()
	c.mu.Unlock()
	c.renewal.hasten()
}
