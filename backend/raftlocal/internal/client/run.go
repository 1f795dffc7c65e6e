package client

import (
	"errors"

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
		c.cfg.Logger.Info("the connection to the leader has ended", "member", l.name, "reason", err)
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
	c.link, c.fault, c.refused = l, nil, false
	if l.resume != 0 || c.session.Outstanding() > 0 {
		l.wakeLocked()
	}
	c.changedLocked()
	c.mu.Unlock()
	c.cfg.Logger.Info("connected to the leader", "member", l.name)

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
	c.link, c.fault = nil, l.why
	events := c.session.Disconnected()
	if !c.closed && (c.session.Outstanding() > 0 || c.expecting > 0) {
		c.neededLocked()
	}
	c.changedLocked()
	c.mu.Unlock()
	c.handle(events)
	return leader, l.why
}

// lost notes why there is no connection.
func (c *Client) lost(fault error, refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault == nil || c.fault.Error() != fault.Error() {
		c.cfg.Logger.Warn("no leader is found", "reason", fault)
	}
	c.fault, c.refused = fault, refused
	c.changedLocked()
}
