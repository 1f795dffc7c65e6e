package member

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// unheardMost is how many claims are ended together.
const unheardMost = 256

// usherTTL is how long the session is kept if this leader does not come to close it. If it ends before
// the release, that does nothing, and the next round does.
const usherTTL = 5 * time.Second

// usher ends the claims of waiters that were granted a lock, have not been heard of since, and were
// to end as waiters by now: see statemachine.Unheard. Without it each waiter that has died costs those
// behind it a TTL of its own. It has the log carry out what a client could ask for: a session is
// opened, in it the claims are released, and it is closed. So members of earlier builds do the
// same.
//
// A claim that is renewed must not be ended after that, for its holder goes by the renewal. What
// was proposed before the session was opened is applied when that is; what is proposed afterwards and
// renews a claim takes it from the list; and what is proposed after the release is behind it in the
// log, and finds that the claim is gone.
type usher struct {
	opening bool
	name    command.SessionID
	session uint64              // 0 until it is open
	due     map[uint64]struct{} // to be ended
	rounds  uint64
}

// endUnheard takes the next step. Called when nothing waits to be proposed.
func (p *proposals) endUnheard(stamp int64) {
	u := &p.usher
	switch {
	case u.session != 0:
		var cmds []command.Command
		for _, n := range p.state.machine.Unheard(stamp, unheardMost) {
			if _, is := u.due[n]; is {
				seq := uint64(len(cmds) + 1)
				cmds = append(cmds, command.Command{Session: u.session, Seq: seq, Lowest: seq, Op: command.Release, Claims: []uint64{n}})
			}
		}
		seq := uint64(len(cmds) + 1)
		cmds = append(cmds, command.Command{Session: u.session, Seq: seq, Lowest: seq, Op: command.Close})
		if p.batch(stamp, cmds) {
			*u = usher{rounds: u.rounds}
		}
	case !u.opening:
		due := p.state.machine.Unheard(stamp, unheardMost)
		if len(due) == 0 {
			return
		}
		u.rounds++
		binary.BigEndian.PutUint64(u.name[:], p.state.id)
		binary.BigEndian.PutUint64(u.name[8:], p.consensus.hard.GetTerm()<<32+u.rounds) // not drawn, and nobody's else
		if u.opening = p.batch(stamp, []command.Command{{Op: command.Open, ID: u.name, TTL: usherTTL}}); u.opening {
			u.due = make(map[uint64]struct{}, len(due))
			for _, n := range due {
				u.due[n] = struct{}{}
			}
		}
	}
}

// proposed is told of other commands that are proposed.
func (u *usher) proposed(cmds []command.Command) {
	if len(u.due) == 0 {
		return
	}
	for i := range cmds {
		if cmds[i].Op == command.Renew {
			for _, n := range cmds[i].Claims {
				delete(u.due, n)
			}
		}
	}
}

// answered is told of what was applied.
func (u *usher) answered(answers []command.Answer) {
	if !u.opening || u.session != 0 {
		return
	}
	for i := range answers {
		if a := &answers[i]; a.Session == 0 && a.ID == u.name && a.Reply.Code == command.OK {
			u.session = a.Reply.Number
		}
	}
}

// commandID names a command of a session.
type commandID struct{ session, seq uint64 }

// evictions are those that stand in the log or are about to, each as a Release.
type evictions map[commandID]struct{}

// logged returns what stands in the log for a command.
//
// For an EvictClaim that is a Release of the claim by which the attempt holds the key, by its number, or of number 0,
// which no claim has, if the attempt does not hold it. So the eviction is atomic, and members of earlier releases, which do not
// know EvictClaim, carry out the same as this one:
//
//   - A claim that holds a key does so until it ends, and no number is given twice. So the Release ends the
//     grant that this leader has seen, or nothing, whatever stands in the log before it and is not applied yet. It ends no
//     other claim, and none that waits.
//   - What this leader has seen is no older than what anybody was told before the EvictClaim was sent. A leader serves
//     when it has applied all that was committed before its term, and it is the first to tell of what is committed in
//     it. If it leads no more, the Release is not committed. If the attempt is granted the key by an entry that is not applied
//     yet, nobody has been told of that, and the eviction came first.
//   - Sent again, as after a change of leaders, it is the same command of the session, and has the reply that the first had,
//     whatever the second has become.
func (e evictions) logged(machine *statemachine.Machine, cmd *command.Command) command.Command {
	if cmd.Op != command.EvictClaim {
		return *cmd
	}
	number := machine.Grant(cmd.Key, cmd.AttemptID)
	if number != 0 {
		e[commandID{cmd.Session, cmd.Seq}] = struct{}{}
	}
	return command.Command{Session: cmd.Session, Seq: cmd.Seq, Lowest: cmd.Lowest, Op: command.Release, Claims: []uint64{number}}
}

// evicted returns what the holders are to be told whose grants a batch may end for an EvictClaim. The log does not know of
// that, so no state machine says it; a holder whose leader is gone by then finds out when it renews. Called before the
// batch is applied.
func (e evictions) evicted(machine *statemachine.Machine, b command.Batch) map[commandID]command.Push {
	if len(e) == 0 {
		return nil
	}
	pushes := map[commandID]command.Push{}
	for i := range b.Commands {
		cmd := &b.Commands[i]
		id := commandID{cmd.Session, cmd.Seq}
		if _, is := e[id]; !is {
			continue
		}
		delete(e, id)
		if push, ok := machine.Eviction(cmd.Claims[0]); ok {
			pushes[id] = push
		}
	}
	return pushes
}

// tellEvicted adds to the pushes of a batch those of the evictions that have ended a grant.
func tellEvicted(pushes []command.Push, evicted map[commandID]command.Push, answers []command.Answer) []command.Push {
	if len(evicted) == 0 {
		return pushes
	}
	pushes = slices.Clip(pushes) // the rest is the state machine's
	for i := range answers {
		a := &answers[i]
		if push, is := evicted[commandID{a.Session, a.Seq}]; is && a.Reply.Code == command.OK {
			pushes = append(pushes, push)
		}
	}
	return pushes
}
