package server

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// Send puts a message where its writer takes it, or drops it.
func (o *outside) Send(msg *raftpb.Message) {
	s := (*Server)(o)
	p := s.loop.peers[msg.GetTo()]
	if msg.GetType() == raftpb.MsgSnap {
		if p == nil || !p.sending.CompareAndSwap(false, true) {
			s.reportSnapshot(msg.GetTo(), false)
			return
		}
		s.running.Go(func() {
			arrived := p.snapshot(msg)
			p.sending.Store(false)
			s.reportSnapshot(msg.GetTo(), arrived)
		})
		return
	}
	if p != nil && p.state.Load().Connected {
		select {
		case p.queue <- msg:
			return
		default: // it does not take so much
		}
	}
	if l := &s.loop; !slices.Contains(l.unreachable, msg.GetTo()) {
		l.unreachable = append(l.unreachable, msg.GetTo())
	}
}
