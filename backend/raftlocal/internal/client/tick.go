package client

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/session"
)

const (
	// tick is how often a connection is looked after while something is outstanding, or a question
	// whether the member lives. Another leads a second after a leader has fallen silent, or
	// sooner: it is to be found while a lease of a few seconds can still be renewed.
	tick = time.Second / 2
	// silence is after how many ticks without a word the member is taken for dead. It is
	// asked after the first.
	silence = 3
	// patience is how long a call waits for a leader to answer. It outlasts an election. [Config] may say
	// less for the time in which there is none.
	patience = 10 * time.Second
)

// tickLocked starts the timer if it does not run. Called with mu held, and not closed.
func (c *Client) tickLocked() {
	if c.timer == nil {
		c.running.Add(1)
		c.timer = time.AfterFunc(tick, c.tick)
	}
}

// tick gives up calls that have waited too long, and a connection on which nothing comes. It
// runs again as long as there is something to look after.
func (c *Client) tick() {
	defer c.running.Done()
	var silent *link
	var late []session.Ticket
	var never []bool
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.timer = nil
	// A question is waited for even if nothing else is: whoever gave up because of the silence
	// comes back, and is not to wait for all of it again.
	if c.session.Outstanding() > 0 || c.expecting > 0 || c.link != nil && c.link.silent > 0 {
		c.tickLocked()
		silent = c.lookAfterLocked()
	}
	limit := patience
	if c.link == nil && c.cfg.Patience > 0 {
		limit = c.cfg.Patience
	}
	for x := c.session.Oldest(); x != nil && c.now()-x.For.(*Call).since >= limit; x = c.session.Oldest() {
		late = append(late, x)
		never = append(never, c.session.Cancel(x))
	}
	fault := c.fault
	if l := c.link; l != nil {
		fault = l.faultLocked()
		if len(late) > 0 && c.now()-l.since >= patience {
			silent = l // it says that it lives, and does nothing
		}
	}
	c.mu.Unlock()
	if silent != nil {
		silent.close(errSilent)
	}
	for i, x := range late {
		c.finish(x, nil, c.explained(overdue(never[i], limit, fault)), never[i])
	}
}

// lookAfterLocked asks a member that says nothing, and returns the link to one that has been
// asked in vain. Called with mu held.
func (c *Client) lookAfterLocked() (dead *link) {
	l := c.link
	if l == nil {
		return nil
	}
	heard := l.heard.Load()
	if heard != l.before {
		l.before, l.silent = heard, 0
		return nil
	}
	l.silent++
	if l.silent >= silence {
		return l
	}
	l.ping = true
	l.wakeLocked()
	return nil
}
