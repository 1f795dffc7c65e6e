package member

import (
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// peer is a connection of a client.
type peer struct {
	net     *network
	at      *node
	conn    Conn
	session uint64
	seq     uint64
	answers []command.Answer
	pushes  []command.Push
	gone    bool
	to      statemachine.Member
}

func (net *network) dial(n *node, session uint64) *peer {
	net.last++
	p := &peer{net: net, at: n, conn: net.last, session: session}
	net.clients[p.conn] = p
	n.m.Clients.Attach(p.conn, session)
	return p
}

// open dials and opens a session.
func (net *network) open(n *node) *peer {
	net.t.Helper()
	p := net.dial(n, 0)
	p.send(command.Command{Op: command.Open, ID: command.SessionID{byte(net.last)}, TTL: time.Hour})
	net.settle()
	if len(p.answers) != 1 || p.answers[0].Reply.Code != command.OK {
		net.t.Fatalf("open: %+v", p.answers)
	}
	p.session = p.answers[0].Reply.Number
	return p
}

func (p *peer) send(cmds ...command.Command) {
	for i := range cmds {
		if c := &cmds[i]; c.Op != command.Open {
			c.Session = p.session
			if c.Seq == 0 {
				p.seq++
				c.Seq = p.seq
			}
			c.Lowest = max(c.Lowest, 1)
		}
	}
	p.at.m.Clients.Submit(p.conn, cmds)
}

// try sends a command and returns the reply, if there is one.
func (p *peer) try(cmd command.Command) (command.Reply, bool) {
	p.send(cmd)
	p.net.settle()
	return p.reply(p.seq)
}

func (p *peer) reply(seq uint64) (command.Reply, bool) {
	for _, a := range p.answers {
		if a.Seq == seq && a.Session == p.session {
			return a.Reply, true
		}
	}
	return command.Reply{}, false
}

func (p *peer) do(cmd command.Command) command.Reply {
	p.net.t.Helper()
	r, ok := p.try(cmd)
	if !ok {
		p.net.t.Fatalf("no reply to %v of %q", cmd.Op, cmd.Key)
	}
	return r
}

func acquire(key, attemptID string, ttl time.Duration) command.Command {
	return command.Command{Op: command.Acquire, Key: key, AttemptID: attemptID, TTL: ttl, Wait: true}
}

func tryLock(key, attemptID string, ttl time.Duration) command.Command {
	return command.Command{Op: command.Acquire, Key: key, AttemptID: attemptID, TTL: ttl}
}

func release(key, attemptID string) command.Command {
	return command.Command{Op: command.Release, Key: key, AttemptID: attemptID}
}

func (p *peer) want(cmd command.Command, code command.Code) command.Reply {
	p.net.t.Helper()
	r := p.do(cmd)
	if r.Code != code {
		p.net.t.Fatalf("%v of %q: %v, not %v", cmd.Op, cmd.Key, r.Code, code)
	}
	return r
}

func key(i int) string { return fmt.Sprintf("key-%d", i) }
