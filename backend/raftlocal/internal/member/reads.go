package member

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"go.etcd.io/raft/v3"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// reads are the commands that are answered without the log. All of one turn share one round of
// heartbeats, which shows that this member leads after they came in.
type reads struct {
	next    []read // not asked for yet
	rounds  []round
	last    uint64 // number of the last round; none is used twice
	waiting int
	bytes   int
}

type read struct {
	cmd  command.Command
	from *client
}

// round is a question to raft: up to which entry must be applied what a read may see.
type round struct {
	number    uint64
	confirmed bool
	index     uint64
	// proposed is how many batches this leader had proposed. Another copy of a command of the
	// round, sent on a connection before, may be in one of these, and nowhere else. Only when
	// they are applied is it certain that a lock that the copy was refused is not granted to
	// it afterwards.
	proposed uint64
	reads    []read
}

func (r *reads) add(cmd *command.Command, from *client) {
	r.next = append(r.next, read{*cmd, from})
	r.waiting++
	r.bytes += cost(cmd)
}

func (r *reads) full() bool { return r.waiting >= maxPending || r.bytes >= maxPendingBytes }

func (r *reads) drop() { *r = reads{last: r.last} }

// reader answers what needs no entry of the log.
type reader struct {
	consensus *consensus
	state     *state
	proposals *proposals
	clients   *Clients
}

// ask asks raft about the reads that came in.
func (rd *reader) ask() {
	r := &rd.clients.reads
	if len(r.next) == 0 {
		return
	}
	r.last++
	r.rounds = append(r.rounds, round{number: r.last, proposed: rd.proposals.proposed, reads: r.next})
	r.next = nil
	rd.consensus.node.ReadIndex(binary.BigEndian.AppendUint64(nil, r.last))
}

// confirm records what raft has answered.
func (r *reads) confirm(states []raft.ReadState) {
	for _, s := range states {
		number := binary.BigEndian.Uint64(s.RequestCtx)
		for i := range r.rounds {
			if r.rounds[i].number == number {
				r.rounds[i].confirmed, r.rounds[i].index = true, s.Index
			}
		}
	}
}

// answer answers the rounds that may be. Locks that were held and are free now are
// proposed.
func (rd *reader) answer(now time.Duration) {
	r := &rd.clients.reads
	for len(r.rounds) > 0 && r.rounds[0].confirmed && rd.state.applied >= r.rounds[0].index && rd.proposals.completed >= r.rounds[0].proposed {
		done := r.rounds[0].reads
		r.rounds[0] = round{}
		r.rounds = r.rounds[1:]
		answers := make([]command.Answer, 0, len(done))
		for i := range done {
			cmd, from := &done[i].cmd, done[i].from
			r.waiting--
			r.bytes -= cost(cmd)
			if rd.clients.bySession[cmd.Session] != from {
				// The client asks again on its new connection, or is gone.
				continue
			}
			var reply command.Reply
			switch {
			case cmd.Op == command.Inspect:
				reply = command.Reply{Code: command.OK, Status: rd.inspect(cmd.Key, now)}
			case cmd.Op == command.ListHeld:
				reply = rd.listHeld(cmd, now)
			case !rd.state.readable(cmd) && !rd.overtaken(cmd, from):
				rd.clients.pending.add(cmd, from)
				continue
			default:
				reply = rd.refused(cmd.Key, now)
			}
			answers = append(answers, command.Answer{Session: cmd.Session, Seq: cmd.Seq, Reply: reply})
		}
		rd.clients.deliver(answers, nil)
	}
}

// overtaken reports whether a release may stand in the log already, or be about to, that the
// client has sent after the command, perhaps of the same attempt, whom nobody would ever release
// again. The lock was held when the command came in, so that it may be answered so. If the attempt
// has a claim, another copy of the command has made it, and a copy more does nothing.
func (rd *reader) overtaken(cmd *command.Command, from *client) bool {
	return cmd.Op == command.Acquire && from.released > cmd.Seq && !rd.state.machine.Inspect(cmd.Key).Held
}

// inspect tells who holds a key. The time that has passed since the last entry counts.
func (rd *reader) inspect(key string, now time.Duration) command.Status {
	s := rd.state.machine.Inspect(key)
	if s.Held {
		s.Left = rd.left(s.Left, now)
	}
	return s
}

// left is what is left of a time that the state machine tells: the time that has passed since the last entry counts.
func (rd *reader) left(d, now time.Duration) time.Duration {
	return max(0, d-time.Duration(rd.proposals.look(now)-rd.state.machine.Clock()))
}

// listHeld is a page of the keys that are held.
func (rd *reader) listHeld(cmd *command.Command, now time.Duration) command.Reply {
	locks, next := rd.state.machine.ListHeld(cmd.Key, cmd.Claims[0], int(min(cmd.Claims[1], math.MaxInt32)))
	for i := range locks {
		locks[i].Left = rd.left(locks[i].Left, now)
	}
	return command.Reply{Code: command.OK, Number: next, Locks: locks}
}

// refused is the answer to who does not wait for a lock that is held: who holds it and for how long, without the rest.
// What the application has added to the name, after a NUL, may be long.
func (rd *reader) refused(key string, now time.Duration) command.Reply {
	s := rd.inspect(key, now)
	name, _, _ := strings.Cut(s.Meta, "\x00")
	return command.Reply{Code: command.Held, Status: command.Status{Held: s.Held, Meta: name, Left: s.Left}}
}
