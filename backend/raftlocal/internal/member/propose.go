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
		for n < len(p.commands) && (n == 0 || bytes+cost(&p.commands[n]) <= mostBatch) {
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
	return cmd.Op.ReadOnly() || cmd.Op == command.Acquire && !cmd.Wait && m.machine.Busy(cmd.Key, cmd.Owner)
}
