package member

import (
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// commandID names a command of a session.
type commandID struct{ session, seq uint64 }

// logged returns what stands in the log for a command.
//
// For an EvictClaim that is a Release of the claim by which the owner holds the key, by its number, or of number 0,
// which no claim has, if the owner does not hold it. So the eviction is atomic, and members of earlier releases, which do not
// know EvictClaim, carry out the same as this one:
//
//   - Whoever has a number that holds does so until the claim ends, and no number is given twice. So the Release ends the
//     grant that this leader has seen, or nothing, whatever stands in the log before it and is not applied yet. It ends no
//     other claim, and none that waits.
//   - What this leader has seen is no older than what anybody was told before the EvictClaim was sent. A leader serves
//     when it has applied all that was committed before its term, and it is the first to tell of what is committed in
//     it. If it leads no more, the Release is not committed. If the owner is granted the key by an entry that is not applied
//     yet, nobody has been told of that, and the eviction came first.
//   - Sent again, as after a change of leaders, it is the same command of the session, and has the reply that the first had,
//     whatever the second has become.
func (m *Member) logged(cmd *command.Command) command.Command {
	if cmd.Op != command.EvictClaim {
		return *cmd
	}
	number := m.machine.Grant(cmd.Key, cmd.Owner)
	if number != 0 {
		m.evictions[commandID{cmd.Session, cmd.Seq}] = struct{}{}
	}
	return command.Command{Session: cmd.Session, Seq: cmd.Seq, Lowest: cmd.Lowest, Op: command.Release, Claims: []uint64{number}}
}

// evicted returns what the holders are to be told whose grants a batch may end for an EvictClaim. The log does not know of
// that, so no state machine says it; a holder whose leader is gone by then finds out when it renews. Called before the
// batch is applied.
func (m *Member) evicted(b command.Batch) map[commandID]command.Push {
	if len(m.evictions) == 0 {
		return nil
	}
	pushes := map[commandID]command.Push{}
	for i := range b.Commands {
		cmd := &b.Commands[i]
		id := commandID{cmd.Session, cmd.Seq}
		if _, is := m.evictions[id]; !is {
			continue
		}
		delete(m.evictions, id)
		if push, ok := m.machine.Eviction(cmd.Claims[0]); ok {
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
