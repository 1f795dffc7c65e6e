package member

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// pending is what came in and is not proposed yet, in the order in which it came.
type pending struct {
	commands []command.Command
	from     []*client
	bytes    int
}

// cost is at least what a command takes in an entry.
func cost(c *command.Command) int {
	return 64 + len(c.Key) + len(c.Owner) + len(c.Meta) + 10*len(c.Claims)
}

func (p *pending) add(c *command.Command, from *client) {
	p.commands = append(p.commands, *c)
	p.from = append(p.from, from)
	p.bytes += cost(c)
}

// take drops the first n.
func (p *pending) take(n int) {
	for i := range n {
		p.bytes -= cost(&p.commands[i])
	}
	rest := copy(p.commands, p.commands[n:])
	clear(p.commands[rest:])
	p.commands = p.commands[:rest]
	copy(p.from, p.from[n:])
	clear(p.from[rest:])
	p.from = p.from[:rest]
}

func (p *pending) drop() { p.take(len(p.commands)) }

func (p *pending) full() bool { return len(p.commands) >= maxPending || p.bytes >= maxPendingBytes }

// Busy reports whether more than half of what may wait is waiting. Whoever reads connections
// should stop until it does not, so that clients wait in their own memory. What goes on sending
// is dismissed when nothing more may wait: a reply would be taken for the command's outcome,
// and it has none; the client comes back, later, and sends it again.
func (m *Member) Busy() bool {
	p, r := &m.pending, &m.reads
	return 2*(len(p.commands)+r.waiting) >= maxPending || 2*(p.bytes+r.bytes) >= maxPendingBytes
}

// Submit takes commands of a connection. They are copied, but not what they point to. Those of
// a session that is not the connection's are dropped: they are old. One that breaks a limit is
// refused at once, as the state machine would. What a connection that is not
// attached sends is ignored.
func (m *Member) Submit(c Conn, cmds []command.Command) {
	cl := m.clients.byConn[c]
	if m.err != nil || cl == nil {
		return
	}
	for i := range cmds {
		cmd := &cmds[i]
		if cmd.Op != command.Open && !cl.has(cmd.Session) {
			continue
		}
		if !cmd.Valid() || cost(cmd) > maxBatch/2 {
			m.out.Answer(c, []command.Answer{{Session: cmd.Session, Seq: cmd.Seq, ID: cmd.ID, Reply: command.Reply{Code: command.Invalid}}}, nil)
			continue
		}
		if m.pending.full() || m.reads.full() {
			m.dismiss(cl, m.member(m.cfg.ID))
			return
		}
		if cmd.Op == command.Open {
			m.clients.expect(cmd.ID, cl)
		}
		if cmd.Op == command.Release && len(cmd.Claims) == 0 {
			cl.released = max(cl.released, cmd.Seq)
		}
		m.pending.add(cmd, cl)
	}
}
