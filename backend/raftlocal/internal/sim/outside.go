package sim

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// outside is what the member of one life speaks to.
type outside struct {
	h    *host
	life int
}

// leave lets something happen when what the disk is doing now is done, if the member lives.
func (o outside) leave(f func()) {
	o.h.w.at(o.h.at(), func() {
		if o.h.life == o.life {
			f()
		}
	})
}

func (o outside) Send(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		o.h.w.leads(o.h, m.GetTerm())
	case raftpb.MsgVoteResp:
		if !m.GetReject() && o.h.w.now < o.h.w.voting && !o.h.w.calm {
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

func (o outside) Answer(c member.Conn, answers []command.Answer, pushes []command.Push) {
	l := o.h.w.lines[c]
	if l == nil {
		panic(fmt.Sprintf("an answer to connection %d, which never was", c))
	}
	packet := encodeAnswers(answers, pushes)
	o.leave(func() { l.down(packet) })
}

func (o outside) Dismiss(c member.Conn, leader statemachine.Member) {
	if l := o.h.w.lines[c]; l != nil {
		o.leave(func() { l.dismiss(leader) })
	}
}
