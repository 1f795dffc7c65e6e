package member

import (
	"encoding/binary"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
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
func (m *Member) endUnheard(stamp int64) {
	u := &m.usher
	switch {
	case u.session != 0:
		var cmds []command.Command
		for _, n := range m.machine.Unheard(stamp, unheardMost) {
			if _, is := u.due[n]; is {
				seq := uint64(len(cmds) + 1)
				cmds = append(cmds, command.Command{Session: u.session, Seq: seq, Lowest: seq, Op: command.Release, Claims: []uint64{n}})
			}
		}
		seq := uint64(len(cmds) + 1)
		cmds = append(cmds, command.Command{Session: u.session, Seq: seq, Lowest: seq, Op: command.Close})
		if m.proposeBatch(stamp, cmds) {
			*u = usher{rounds: u.rounds}
		}
	case !u.opening:
		due := m.machine.Unheard(stamp, unheardMost)
		if len(due) == 0 {
			return
		}
		u.rounds++
		binary.BigEndian.PutUint64(u.name[:], m.cfg.ID)
		binary.BigEndian.PutUint64(u.name[8:], m.hard.GetTerm()<<32+u.rounds) // not drawn, and nobody's else
		if u.opening = m.proposeBatch(stamp, []command.Command{{Op: command.Open, ID: u.name, TTL: usherTTL}}); u.opening {
			u.due = make(map[uint64]struct{}, len(due))
			for _, n := range due {
				u.due[n] = struct{}{}
			}
		}
	}
}

// proposed takes in what is proposed otherwise.
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

// answered takes in what was applied.
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
