package client

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/session"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// link is a connection to the leader.
type link struct {
	conn   net.Conn
	reader *wire.Reader
	addr   string
	name   string // of the member
	since  time.Duration
	wake   chan struct{} // has an element when the writer must look
	ended  chan struct{} // closed when nothing is read any more
	heard  atomic.Uint64 // frames

	closing sync.Once
	why     error // of the first close

	// Guarded by Client.mu.
	busy   bool   // the writer will look before it sleeps
	resume uint64 // the session to go on with, until that is said
	ping   bool   // one is to be sent
	before uint64
	silent int
	says   string // what keeps the member from serving, in its own words
}

// faultLocked is what is wrong with a connection on which a command waits for its answer. Called
// with Client.mu held.
func (l *link) faultLocked() error {
	if l.says != "" {
		return fmt.Errorf("%s at %s says: %s", l.name, l.addr, l.says)
	}
	return fmt.Errorf("%s at %s, which leads, has not answered", l.name, l.addr)
}

// wakeLocked makes the writer look. Called with Client.mu held.
func (l *link) wakeLocked() {
	if l.busy {
		return
	}
	l.busy = true
	l.wake <- struct{}{} // has room: only who is not busy is woken
}

// lookAfterLocked asks a member that says nothing, and reports whether it has been asked in vain. Called with Client.mu held.
func (l *link) lookAfterLocked() (dead bool) {
	heard := l.heard.Load()
	if heard != l.before {
		l.before, l.silent = heard, 0
		return false
	}
	l.silent++
	if l.silent >= silence {
		return true
	}
	l.ping = true
	l.wakeLocked()
	return false
}

// close ends the connection; the reader sees that, and ends the rest. The reason that is
// given first counts.
func (l *link) close(why error) {
	l.closing.Do(func() {
		l.why = why
		_ = l.conn.Close() // of a connection that is of no use any more
	})
}

// write writes what there is to send, all of it at once, until the link ends.
func (c *Client) write(l *link) {
	var buf []byte
	for {
		select {
		case <-l.wake:
		case <-l.ended:
			return
		}
		for {
			// Other goroutines that are about to send something do so first.
			runtime.Gosched()
			c.mu.Lock()
			if buf = c.outgoingLocked(l, buf[:0]); len(buf) == 0 {
				l.busy = false
				c.mu.Unlock()
				break
			}
			c.mu.Unlock()
			if _, err := l.conn.Write(buf); err != nil {
				l.close(err)
				return
			}
			if cap(buf) > 1<<20 {
				buf = nil // so much is rare
			}
		}
	}
}

// outgoingLocked appends what there is to send. It is encoded under the lock since, as soon as
// a command is answered, what it points to is its caller's again; and it may be answered before it
// is sent, if an earlier connection has carried it to the end.
func (c *Client) outgoingLocked(l *link, buf []byte) []byte {
	if l.resume != 0 {
		buf = wire.AppendResume(buf, l.resume)
		l.resume = 0
	}
	now := c.now()
	if cmds := c.session.Outgoing(now); len(cmds) > 0 {
		c.sent = now
		buf = wire.AppendCommands(buf, cmds)
	}
	if l.ping {
		l.ping = false
		buf = wire.AppendPing(buf, l.before)
	}
	return buf
}

// read handles what the leader says until the connection ends. It returns why, and who leads
// now, if it was told.
func (c *Client) read(l *link) (leader wire.Member, err error) {
	var answers []command.Answer
	var pushes []command.Push
	for {
		t, body, err := l.reader.Next()
		if err != nil {
			return wire.Member{}, err
		}
		l.heard.Add(1)
		switch t {
		case wire.TypeAnswers:
			if answers, pushes, err = wire.ParseAnswers(body, answers, pushes); err != nil {
				return wire.Member{}, err
			}
		case wire.TypeMoved:
			c.receive(answers, pushes)
			if leader, err = wire.ParseMoved(body); err == nil {
				err = errMoved
			}
			return leader, err
		case wire.TypeRefusal:
			c.receive(answers, pushes)
			return wire.Member{}, &refusal{wire.ParseRefusal(body)}
		case wire.TypeVoid:
			c.receive(answers, pushes)
			clear(answers)
			answers, pushes = answers[:0], pushes[:0]
			c.cfg.OnVoid(wire.ParseRefusal(body))
		case wire.TypeTrouble:
			c.mu.Lock()
			l.says = wire.ParseRefusal(body)
			c.mu.Unlock()
		default: // a pong: that it came is all
		}
		if len(answers)+len(pushes) == 0 || l.reader.More() && len(answers)+len(pushes) < command.MaxOutstanding {
			continue
		}
		c.receive(answers, pushes)
		clear(answers)
		answers, pushes = answers[:0], pushes[:0]
	}
}

// receive tells everybody.
func (c *Client) receive(answers []command.Answer, pushes []command.Push) {
	c.mu.Lock()
	events := c.session.Receive(answers, pushes)
	if c.link != nil && c.session.Waiting() > 0 {
		c.link.wakeLocked() // there is a session now, or room
	}
	c.mu.Unlock()
	c.handle(events)
}

// handle tells events. Only the goroutine of run comes here, so that they are not overwritten.
func (c *Client) handle(events []session.Event) {
	for i := range events {
		switch e := &events[i]; e.Kind {
		case session.Done:
			c.finish(e.Call, &e.Reply, nil, false)
		case session.Unknown:
			c.finish(e.Call, nil, errUnknown, false)
		case session.Pushed:
			c.cfg.OnPush(e.Claim)
		case session.Opened:
			c.cfg.OnReconnect()
		}
	}
}
