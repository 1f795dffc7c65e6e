package member

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// checkpoint is how old the last stamp may be while there are claims: what an election may give
// them beyond their time.
const checkpoint = int64(time.Second)

// propose puts what waits into the log, at a time of the cluster's clock. All that came in since
// the last time is one entry, unless it is more than fits.
func (m *Member) propose(stamp int64) {
	if !m.serving {
		return
	}
	m.sort()
	p := &m.pending
	for len(p.commands) > 0 {
		n, bytes := 0, 0
		for n < len(p.commands) && (n == 0 || bytes+cost(&p.commands[n]) <= maxBatch) {
			bytes += cost(&p.commands[n])
			n++
		}
		if !m.proposeBatch(stamp, p.commands[:n]) {
			// Too much waits for a majority, or leadership is moving or has moved: raft will
			// tell, and until then they wait.
			return
		}
		p.take(n)
	}
	if m.overdue(stamp) {
		m.proposeBatch(stamp, nil)
	}
	m.endUnheard(stamp)
}

// proposeBatch proposes one entry. raft copies the bytes.
func (m *Member) proposeBatch(stamp int64, cmds []command.Command) bool {
	m.encoding = command.AppendBatch(m.encoding[:0], command.Batch{Stamp: stamp, Commands: cmds})
	if m.node.Propose(m.encoding) != nil {
		return false
	}
	m.proposed++
	m.counted.Entries++
	m.counted.Commands += uint64(len(cmds))
	m.lastStamp = stamp
	m.usher.proposed(cmds)
	return true
}

// overdue reports whether an entry with no command is due: so that claims and sessions end whose
// time has come, or that the time of those that live on is not lost at an election. A cluster
// without either writes nothing.
func (m *Member) overdue(stamp int64) bool {
	deadline, any := m.machine.NextDeadline()
	if !any || m.lastStamp >= stamp {
		return false
	}
	if deadline <= stamp && m.lastStamp < deadline {
		return true
	}
	return stamp-m.lastStamp >= checkpoint && m.machine.Claims() > 0
}

// sort takes from what waits the commands that the log need not see, and those that are void.
func (m *Member) sort() {
	p := &m.pending
	kept, bytes := 0, 0
	for i := range p.commands {
		cmd, from := &p.commands[i], p.from[i]
		switch {
		case m.clients.stale(from, cmd):
			delete(m.evictions, commandID{cmd.Session, cmd.Seq})
		case m.readable(cmd):
			m.reads.add(cmd, from)
		default:
			if kept != i || cmd.Op == command.EvictClaim {
				p.commands[kept], p.from[kept] = m.logged(cmd), from
			}
			bytes += cost(&p.commands[kept])
			kept++
		}
	}
	clear(p.commands[kept:])
	clear(p.from[kept:])
	p.commands, p.from, p.bytes = p.commands[:kept], p.from[:kept], bytes
}

// readable reports whether a command is to be answered without the log: it asks, or it takes a
// lock only if it is free and it is not. If it is free in the end, it goes into the log.
func (m *Member) readable(cmd *command.Command) bool {
	return cmd.Op.ReadOnly() || cmd.Op == command.Acquire && !cmd.Wait && m.machine.Busy(cmd.Key, cmd.AttemptID)
}

// pending is what came in and is not proposed yet, in the order in which it came.
type pending struct {
	commands []command.Command
	from     []*client
	bytes    int
}

// cost is at least what a command takes in an entry.
func cost(c *command.Command) int {
	return 64 + len(c.Key) + len(c.AttemptID) + len(c.Meta) + 10*len(c.Claims)
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

// Busy reports whether more than half of what may wait is waiting. The goroutines that read connections
// should stop until it does not, so that clients wait in their own memory. What goes on sending
// is redirected when nothing more may wait: a reply would be taken for the command's outcome,
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
			m.redirect(cl, m.member(m.cfg.ID))
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
