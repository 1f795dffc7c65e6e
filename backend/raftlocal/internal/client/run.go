package client

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/session"
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
	c.cfg.OnReconnect()
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

const (
	// tick is how often a connection is looked after while something is outstanding, or a question
	// whether the member lives. Another leads a second after a leader has fallen silent, or
	// sooner: it is to be found while a lease of a few seconds can still be renewed.
	tick = time.Second / 2
	// silence is after how many ticks without a word the member is taken for dead. It is
	// asked after the first.
	silence = 3
	// callTimeout is how long a call waits for a leader to answer. It outlasts an election. [Config] may say
	// less for the time in which there is none.
	callTimeout = 10 * time.Second
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
	var late []*session.Call
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
		if c.link != nil && c.link.lookAfterLocked() {
			silent = c.link
		}
	}
	limit := callTimeout
	if c.link == nil && c.cfg.LeaderTimeout > 0 {
		limit = c.cfg.LeaderTimeout
	}
	for x := c.session.Oldest(); x != nil && c.now()-x.For.(*Call).since >= limit; x = c.session.Oldest() {
		late = append(late, x)
		never = append(never, c.session.Cancel(x))
	}
	fault := c.fault
	if l := c.link; l != nil {
		fault = l.faultLocked()
		if len(late) > 0 && c.now()-l.since >= callTimeout {
			silent = l // it says that it lives, and does nothing
		}
	}
	c.mu.Unlock()
	if silent != nil {
		silent.close(errSilent)
	}
	for i, x := range late {
		c.finish(x, nil, c.cfg.explained(overdue(never[i], limit, fault)), never[i])
	}
}
