package client

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// run looks for the leader whenever a connection is needed, and reads what it says.
func (c *Client) run() {
	s := &search{client: c}
	for {
		select {
		case <-c.needed:
		case <-c.closing.Done():
			return
		}
		l := s.leader()
		if l == nil {
			return // closed
		}
		leader, err := c.serve(l)
		if c.closing.Err() != nil {
			return
		}
		s.hint, s.left = leader.Addr, l.addr
		c.cfg.Logger.Info("the connection to the leader has ended", "member", l.name, "reason", parting(err))
		if !errors.Is(err, errMoved) || leader.Addr == "" {
			s.scatter()
		}
	}
}

// serve uses a connection until it ends.
func (c *Client) serve(l *link) (leader wire.Member, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		_ = l.conn.Close()
		return leader, errClosed
	}
	l.since = c.now()
	l.resume = c.session.Connected()
	c.link, c.fault, c.refused, c.absent = l, nil, false, false
	told := c.told
	c.told, c.met = "", true
	if l.resume != 0 || c.session.Outstanding() > 0 {
		l.wakeLocked()
	}
	c.changedLocked()
	c.mu.Unlock()
	if told == "" {
		c.cfg.Logger.Info("connected to the leader", "member", l.name, "addr", l.addr)
	} else {
		c.cfg.Logger.Info("the cluster is reachable again: connected to the leader", "member", l.name, "addr", l.addr)
	}

	stop := make(chan struct{})
	c.running.Go(func() { c.write(l); close(stop) })
	unhook := afterDone(c.closing, func() { l.close(errClosed) })
	c.cfg.Anew()
	leader, err = c.read(l)
	l.close(err)
	close(l.ended)
	<-stop
	unhook()

	c.mu.Lock()
	c.link, c.fault = nil, &parted{l.name, l.addr, parting(l.why)}
	events := c.session.Disconnected()
	if !c.closed && (c.session.Outstanding() > 0 || c.expecting > 0) {
		c.neededLocked()
	}
	c.changedLocked()
	c.mu.Unlock()
	c.handle(events)
	return leader, l.why
}

// quiet is for how long nobody is told that no leader is found: an election takes less.
const quiet = 2 * time.Second

// lost notes why there is no connection, after a search of some time.
func (c *Client) lost(fault *nobody, refused bool, after time.Duration) {
	c.mu.Lock()
	text := fault.Error()
	// Who has never been connected is being opened: that says why it fails.
	tell := c.told != text && (refused || c.met && after >= quiet)
	if tell {
		c.told = text
	}
	c.fault, c.refused, c.absent = fault, refused, c.cfg.AwayAfter > 0 && after >= c.cfg.AwayAfter && fault.absent()
	c.changedLocked()
	c.mu.Unlock()
	if tell {
		c.cfg.Logger.Warn("the cluster is not reachable", "reason", text)
	}
}

// note notes what is known so far.
func (c *Client) note(fault *nobody) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = fault
}
