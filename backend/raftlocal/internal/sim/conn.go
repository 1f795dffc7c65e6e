package sim

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// conn is a connection between a client and a member: what is sent on it arrives in order,
// late perhaps, or not at all once it is broken. Each end learns of that in its own time.
type conn struct {
	w      *world
	conn   member.Conn
	client *client
	host   *host
	life   int // of the host

	toHost, toClient pipe
	keeps            bool // all that was sent, although the client leaves
	left             bool // by the client
	closed           bool // by the member
}

// pipe is one direction.
type pipe struct {
	queue   []func()
	flowing bool
	stalled time.Duration // until when nothing gets through
}

// dial makes a connection, if the host can be reached. Connections are numbered as they are
// accepted.
func (c *client) dial(h *host) *conn {
	w := c.w
	if !h.up() || !w.network.open(c.place, h.place) || !w.network.open(h.place, c.place) {
		return nil
	}
	w.lastConn++
	l := &conn{w: w, conn: member.Conn(w.lastConn), client: c, host: h, life: h.life}
	w.conns[l.conn] = l
	h.lines = append(slices.DeleteFunc(h.lines, func(l *conn) bool { return l.closed }), l)
	return l
}

// send puts something on its way, into one direction.
func (l *conn) send(p *pipe, f func()) {
	p.queue = append(p.queue, f)
	if !p.flowing {
		p.flowing = true
		l.w.after(l.w.network.latency(), func() { l.flow(p) })
	}
}

func (l *conn) flow(p *pipe) {
	w := l.w
	from, to := l.client.place, l.host.place
	if p == &l.toClient {
		from, to = to, from
	}
	if !w.network.open(from, to) || p.stalled > w.now {
		// The system sends it again and again.
		w.after(30*time.Millisecond, func() { l.flow(p) })
		return
	}
	if p.flowing = len(p.queue) > 0; !p.flowing {
		return // what was on its way is lost
	}
	next := p.queue[0]
	p.queue = p.queue[1:]
	next()
	if p.flowing = len(p.queue) > 0; p.flowing {
		w.after(w.network.latency()/4, func() { l.flow(p) })
	}
}

// up sends a packet to the member.
func (l *conn) up(take func(m *member.Member)) {
	l.send(&l.toHost, func() {
		if !l.closed {
			l.host.input(l.life, func() { take(l.host.member) })
		}
	})
}

// down sends a packet to the client.
func (l *conn) down(p packet) {
	if l.closed {
		return
	}
	l.send(&l.toClient, func() {
		if !l.left {
			l.client.receive(l, p)
		}
	})
}

// leave is the client's end of it. What it has sent may still arrive, late: the member learns
// of the end after that.
func (l *conn) leave() {
	if l.left {
		return
	}
	l.left = true
	if !l.keeps && l.w.rng.IntN(2) == 0 {
		// The last packets are lost.
		l.toHost.queue = l.toHost.queue[:min(len(l.toHost.queue), l.w.rng.IntN(4))]
	}
	l.send(&l.toHost, func() {
		l.closed = true
		l.host.input(l.life, func() { l.host.member.Clients.Detach(l.conn) })
	})
}

// dismiss is the member's end of it.
func (l *conn) dismiss(leader statemachine.Member) {
	if l.closed {
		return
	}
	l.send(&l.toClient, func() {
		if !l.left {
			l.left = true
			l.client.moved(l, leader)
		}
	})
	l.closed = true
}

// serverGone is when the host's process has ended. The client learns of it, or must find out.
func (l *conn) serverGone() {
	if l.closed {
		return
	}
	l.closed = true
	l.toClient.queue = nil
	if l.w.rng.IntN(4) == 0 {
		return
	}
	l.w.after(l.w.network.latency(), func() {
		if !l.left && l.w.network.open(l.host.place, l.client.place) {
			l.left = true
			l.client.moved(l, statemachine.Member{})
		}
	})
}
