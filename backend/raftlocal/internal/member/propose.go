package member

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// checkpoint is how old the last stamp may be while there are claims: what an election may give
// them beyond their time.
const checkpoint = int64(time.Second)

// proposals are what this leader puts into the log.
type proposals struct {
	consensus *consensus
	state     *state
	clients   *Clients

	clock     clusterClock
	lastStamp int64
	proposed  uint64 // batches of the own term
	completed uint64 // of these, those applied
	usher     usher
	evictions evictions
	encoding  []byte

	entries, commands uint64 // since the member was opened
}

// start begins: the clock has all that it is to go on from.
func (p *proposals) start(now time.Duration) {
	p.clock.start(p.state.machine.Clock(), now)
	p.lastStamp = p.state.machine.Clock()
}

// stop forgets all that only a leader has to remember.
func (p *proposals) stop() {
	p.proposed, p.completed = 0, 0
	p.usher = usher{}
	clear(p.evictions)
}

// look is a look at the clock of the cluster, if this member serves.
func (p *proposals) look(now time.Duration) int64 {
	if !p.consensus.serving {
		return 0
	}
	return p.clock.look(now)
}

// propose puts what waits into the log, at a time of the cluster's clock. All that came in since
// the last time is one entry, unless it is more than fits.
func (p *proposals) propose(stamp int64) {
	if !p.consensus.serving {
		return
	}
	p.sort()
	w := &p.clients.pending
	for len(w.commands) > 0 {
		n, bytes := 0, 0
		for n < len(w.commands) && (n == 0 || bytes+cost(&w.commands[n]) <= maxBatch) {
			bytes += cost(&w.commands[n])
			n++
		}
		if !p.batch(stamp, w.commands[:n]) {
			// Too much waits for a majority, or leadership is moving or has moved: raft will
			// tell, and until then they wait.
			return
		}
		w.take(n)
	}
	if p.overdue(stamp) {
		p.batch(stamp, nil)
	}
	p.endUnheard(stamp)
}

// batch proposes one entry. raft copies the bytes.
func (p *proposals) batch(stamp int64, cmds []command.Command) bool {
	p.encoding = command.AppendBatch(p.encoding[:0], command.Batch{Stamp: stamp, Commands: cmds})
	if p.consensus.node.Propose(p.encoding) != nil {
		return false
	}
	p.proposed++
	p.entries++
	p.commands += uint64(len(cmds))
	p.lastStamp = stamp
	p.usher.proposed(cmds)
	return true
}

// overdue reports whether an entry with no command is due: so that claims and sessions end whose
// time has come, or that the time of those that live on is not lost at an election. A cluster
// without either writes nothing.
func (p *proposals) overdue(stamp int64) bool {
	deadline, any := p.state.machine.NextDeadline()
	if !any || p.lastStamp >= stamp {
		return false
	}
	if deadline <= stamp && p.lastStamp < deadline {
		return true
	}
	return stamp-p.lastStamp >= checkpoint && p.state.machine.Claims() > 0
}

// sort takes from what waits the commands that the log need not see, and those that are void.
func (p *proposals) sort() {
	w, reads := &p.clients.pending, &p.clients.reads
	kept, bytes := 0, 0
	for i := range w.commands {
		cmd, from := &w.commands[i], w.from[i]
		switch {
		case p.clients.stale(from, cmd):
			delete(p.evictions, commandID{cmd.Session, cmd.Seq})
		case p.state.readable(cmd):
			reads.add(cmd, from)
		default:
			if kept != i || cmd.Op == command.EvictClaim {
				w.commands[kept], w.from[kept] = p.evictions.logged(p.state.machine, cmd), from
			}
			bytes += cost(&w.commands[kept])
			kept++
		}
	}
	clear(w.commands[kept:])
	clear(w.from[kept:])
	w.commands, w.from, w.bytes = w.commands[:kept], w.from[:kept], bytes
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
