package sim

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// input is something for the member of a life to take in.
func (h *host) input(life int, f func()) {
	if !h.up() || life != h.life {
		return
	}
	h.inbox = append(h.inbox, f)
	h.wake()
}

// wake plans a turn.
func (h *host) wake() {
	if h.planned || len(h.inbox) == 0 {
		return
	}
	h.planned = true
	life := h.life
	h.w.at(max(h.w.now+20*time.Microsecond, h.free, h.paused), func() {
		if life == h.life {
			h.turn()
		}
	})
}

// tick counts time, by the member's own clock, but for the time that the disk or a pause took:
// a ticker holds one tick back at most.
func (h *host) tick(life int) {
	if life != h.life {
		return
	}
	if !h.ticking {
		h.ticking = true
		h.input(life, func() {
			h.ticking = false
			h.member.Tick()
		})
	}
	h.w.after(h.clock.real(50*time.Millisecond), func() { h.tick(life) })
}

// turn is one round of the loop.
func (h *host) turn() {
	w := h.w
	h.planned = false
	if w.now < max(h.free, h.paused) {
		h.wake()
		return
	}
	now := h.clock.read(w.now)
	h.awake += min(now-h.lastTurn, maxLook)
	h.lastTurn = now
	in := h.inbox
	h.inbox = nil
	h.drive.take()
	var err error
	if h.running(func() {
		for _, f := range in {
			f()
		}
		err = h.member.Flush(now)
		if err == nil && w.rng.IntN(64) == 0 {
			// A server does that beside, with the same effect on what is on the disk.
			if e := h.member.Prepare(); errors.Is(e, wal.ErrFailed) {
				err = e
			}
		}
	}) {
		h.restart()
		return
	}
	h.free = w.now + h.drive.spent
	if err != nil {
		h.stopped(err)
		return
	}
	h.wake()
}

// maxLook is the most that one look at a leader's clock may count for.
const maxLook = 100 * time.Millisecond

func (h *host) receive(data []byte) {
	var m raftpb.Message
	if err := proto.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	h.member.Receive(&m)
}

func (h *host) undelivered(to uint64, snap bool) {
	if snap {
		h.member.ReportSnapshot(to, false)
	} else {
		h.member.ReportUnreachable(to)
	}
}

// at is now, for what the member does in this turn.
func (h *host) at() time.Duration { return h.w.now + h.drive.spent }

// callbacks is what the member of one life speaks to.
type callbacks struct {
	h    *host
	life int
}

// leave lets something happen when what the disk is doing now is done, if the member lives.
func (o callbacks) leave(f func()) {
	o.h.w.at(o.h.at(), func() {
		if o.h.life == o.life {
			f()
		}
	})
}

func (o callbacks) Send(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		o.h.w.referee.leads(o.h, m.GetTerm())
	case raftpb.MsgVoteResp:
		if !m.GetReject() && o.h.w.now < o.h.w.voting && !o.h.w.quiescent {
			defer o.leave(func() { o.h.powerCut(0) })
		}
	default:
	}
	if o.h.drive.spent == 0 {
		o.h.w.network.send(o.h, m)
		return
	}
	o.leave(func() { o.h.w.network.send(o.h, m) })
}

func (o callbacks) Answer(c member.Conn, answers []command.Answer, pushes []command.Push) {
	l := o.h.w.conns[c]
	if l == nil {
		panic(fmt.Sprintf("an answer to connection %d, which never was", c))
	}
	packet := encodeAnswers(answers, pushes)
	o.leave(func() { l.down(packet) })
}

func (o callbacks) Redirect(c member.Conn, leader statemachine.Member) {
	if l := o.h.w.conns[c]; l != nil {
		o.leave(func() { l.dismiss(leader) })
	}
}

// applied is told by the member of each entry.
func (o callbacks) applied(index, term uint64, b command.Batch, out statemachine.Outcome) {
	h, w := o.h, o.h.w
	if w.committedLog.applied(h.String(), h.at(), index, term, b, out.Answers, out.Pushes) {
		w.trace.note('e', index, term, w.committedLog.records[index].entry, w.committedLog.records[index].outcome)
		w.referee.checkClock(h, index, term, b.Stamp)
		for _, p := range out.Pushes {
			if p.Claim.Code == command.Evicted {
				w.promises.evict(p.Claim.Token)
			}
		}
	}
	if len(b.Commands) == 0 {
		w.losses.noteVoters(h, index)
	}
	if index%16 == 0 {
		w.committedLog.state(h.String(), index, digest(h.member.Backup()))
	}
}
