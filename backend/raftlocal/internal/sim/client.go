package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/session"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// client is a process that uses locks: one session, one connection at a time, and a few
// workers. When it dies it begins again, and knows nothing.
type client struct {
	w      *world
	place  int
	name   string
	clock  clock
	life   int
	lives  bool
	paused time.Duration
	asleep []func() // what waits until it wakes up
	waking bool     // that is planned

	session *session.Session
	conn    *conn
	since   time.Duration // of the line
	dialing bool
	next    int // which host to try

	attempts []*attempt // whose claims are of interest
	tries    int
}

// call is a command that is under way.
type call struct {
	session.Call
	since time.Duration // by the world's clock
	done  func(r command.Reply, known bool)
}

func (c *client) String() string { return c.name }

// local is what the client's clock shows.
func (c *client) local() time.Duration { return c.clock.read(c.w.now) }

// then does something after a while, if the client lives; a client that sleeps, when it wakes.
func (c *client) then(d time.Duration, f func()) {
	life := c.life
	c.w.after(d, func() { c.awake(life, f) })
}

// awake does something at once, or when the client wakes up, after all that waits for that.
func (c *client) awake(life int, f func()) {
	c.asleep = append(c.asleep, func() {
		if life == c.life {
			f()
		}
	})
	c.wake()
}

func (c *client) wake() {
	for !c.waking && len(c.asleep) > 0 {
		if c.w.now < c.paused {
			c.waking = true
			c.w.at(c.paused, func() {
				c.waking = false
				c.wake()
			})
			return
		}
		f := c.asleep[0]
		c.asleep = c.asleep[1:]
		f()
	}
}

// pause suspends the process: it does nothing, and does not know.
func (c *client) pause(d time.Duration) {
	c.w.trace.line("%s sleeps for %v", c, d)
	c.paused = max(c.paused, c.w.now+d)
}

// begin is a new process.
func (c *client) begin() {
	c.life++
	c.lives = true
	c.session = session.New(c.w.newSessionID, c.w.scenario.session)
	c.attempts, c.conn, c.dialing = nil, nil, false
	c.next = c.w.rng.IntN(len(c.w.hosts))
	for range c.w.scenario.workers {
		c.w.working++
		k := &worker{c: c}
		c.then(c.w.some(0, c.w.scenario.think), k.work)
	}
	c.watch()
}

// die ends the process without a word. Another begins in its place.
func (c *client) die() {
	w := c.w
	if w.quiescent || !c.lives {
		return
	}
	w.trace.line("%s dies", c)
	w.deaths++
	for _, t := range c.attempts {
		w.promises.end(t.promise)
	}
	c.hangUp()
	w.working -= w.scenario.workers
	c.life++
	c.lives = false
	w.unborn++
	w.after(w.some(50*time.Millisecond, 2*time.Second), func() {
		w.unborn--
		c.begin()
	})
}

// do sends a command. The answer is known, unless the session ended while it was under way.
func (c *client) do(cmd command.Command, done func(r command.Reply, known bool)) *call {
	k := &call{since: c.w.now, done: done}
	k.Command, k.For = cmd, k
	c.session.Start(&k.Call)
	c.flush()
	return k
}

// flush sends what there is to send.
func (c *client) flush() {
	if c.conn == nil {
		c.connect()
		return
	}
	out := c.session.Outgoing(c.local())
	if len(out) == 0 {
		return
	}
	for i := range out {
		c.w.referee.sent(&out[i])
	}
	packet := encodeCommands(out)
	l := c.conn
	l.up(func(m *member.Member) { m.Clients.Submit(l.conn, packet.commands()) })
}

// connect finds a member that leads.
func (c *client) connect() {
	if !c.lives || c.conn != nil || c.dialing || c.session.Outstanding() == 0 {
		return
	}
	c.dialing = true
	c.then(c.w.network.latency(), func() {
		c.dialing = false
		h := c.w.hosts[c.next%len(c.w.hosts)]
		l := c.dial(h)
		if l == nil {
			c.next++
			c.then(c.w.some(5*time.Millisecond, 100*time.Millisecond), c.connect)
			return
		}
		c.conn, c.since = l, c.w.now
		number := c.session.Connected()
		l.up(func(m *member.Member) { m.Clients.Attach(l.conn, number) })
		c.flush()
	})
}

// hangUp breaks the connection.
func (c *client) hangUp() {
	if c.conn != nil {
		l := c.conn
		c.conn = nil
		l.leave()
		c.events(c.session.Disconnected())
	}
}

// moved is when a connection has ended from the other side.
func (c *client) moved(l *conn, leader statemachine.Member) {
	c.awake(c.life, func() {
		if c.conn != l {
			return
		}
		c.conn = nil
		c.events(c.session.Disconnected())
		c.next++
		if h := c.w.host(leader.ID); h != nil {
			c.next = h.place
		}
		// Where nobody knows a leader, an election is under way.
		d := c.w.network.latency()
		if leader.ID == 0 {
			d += c.w.some(5*time.Millisecond, 100*time.Millisecond)
		}
		c.then(d, c.connect)
	})
}

// receive handles answers and pushes.
func (c *client) receive(l *conn, p packet) {
	c.awake(c.life, func() {
		if c.conn != l {
			return
		}
		answers, pushes := p.answers()
		c.events(c.session.Receive(answers, pushes))
		c.flush()
	})
}

// watch breaks a connection on which nothing has been answered for long.
func (c *client) watch() {
	if oldest := c.session.Oldest(); oldest != nil && c.conn != nil && c.w.now-max(oldest.For.(*call).since, c.since) > c.w.scenario.callTimeout {
		c.w.trace.line("%s has waited too long", c)
		c.hangUp()
		c.next++
		c.connect()
	}
	c.then(c.w.scenario.callTimeout/5, c.watch)
}

func (c *client) attemptName() string {
	c.tries++
	return fmt.Sprintf("%s.%d.%d", c.name, c.life, c.tries)
}

// events is what the session makes of answers and pushes.
func (c *client) events(all []session.Event) {
	// What comes of them may ask for more, in the same memory.
	for _, e := range slices.Clone(all) {
		switch e.Kind {
		case session.Done, session.Unknown:
			c.w.trace.note('a', uint64(c.place), uint64(e.Kind), uint64(e.Reply.Code), e.Reply.Number, e.Reply.Token)
			e.Call.For.(*call).done(e.Reply, e.Kind == session.Done)
		case session.Pushed:
			c.w.trace.note('p', uint64(c.place), uint64(e.Claim.Code), e.Claim.Number, e.Claim.Token)
			for _, t := range c.attempts {
				if t.number == e.Claim.Number && !t.over {
					t.pushed(e.Claim)
					break
				}
			}
		}
	}
}
