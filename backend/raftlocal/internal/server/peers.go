package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// keepPeers keeps a connection to each other member. It is called in the loop.
func (s *Server) keepPeers() {
	l := &s.loop
	want := slices.Clone(l.member.Members())
	for _, m := range l.introduced {
		if !slices.ContainsFunc(want, func(w statemachine.Member) bool { return w.ID == m.ID }) {
			want = append(want, m)
		}
	}
	want = slices.DeleteFunc(want, func(m statemachine.Member) bool { return m.ID == s.id || m.Addr == "" })
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range l.peers {
		if !slices.Contains(want, p.to) {
			p.retire()
			delete(l.peers, id)
			delete(s.known, id)
		}
	}
	for _, m := range want {
		if l.peers[m.ID] == nil {
			p := newPeer(s, m)
			l.peers[m.ID], s.known[m.ID] = p, p
			s.running.Go(p.run)
		}
	}
}

// PeerState is how this member reaches another.
type PeerState struct {
	statemachine.Member
	Connected bool
	// Err is why it is not connected, if that is known; Refused, that the other has said so.
	Err     string
	Refused bool
}

// Peers tells how this member reaches the others, by name. While it is in no cluster, they are
// those whom it asks.
func (s *Server) Peers() []PeerState {
	all := s.asked()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.known {
		all = append(all, *p.state.Load())
	}
	return slices.SortedFunc(slices.Values(all), func(a, b PeerState) int { return cmp.Compare(a.Name, b.Name) })
}

// reportSnapshot tells what became of one, in a later turn.
func (s *Server) reportSnapshot(to uint64, arrived bool) {
	s.inbox.ask(func(m *member.Member) { m.ReportSnapshot(to, arrived) })
}

// Send puts a message where its writer takes it, or drops it.
func (o *callbacks) Send(msg *raftpb.Message) {
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

// callbacks is the server as its member sees it.
type callbacks Server

// Answer tells a client.
func (o *callbacks) Answer(c member.Conn, answers []command.Answer, pushes []command.Push) {
	if cl := o.loop.clients[c]; cl != nil {
		cl.tell(func(b []byte) []byte { return wire.AppendAnswers(b, answers, pushes) })
	}
}

// Redirect sends a client away.
func (o *callbacks) Redirect(c member.Conn, leader statemachine.Member) {
	if cl := o.loop.clients[c]; cl != nil {
		delete(o.loop.clients, c)
		cl.end(func(b []byte) []byte { return wire.AppendMoved(b, wire.Member(leader)) })
	}
}

// snapshot sends a message with a snapshot on a connection of its own, and reports whether it
// arrived. Each part has a time; the whole may take long.
func (p *peer) snapshot(msg *raftpb.Message) bool {
	err := p.sendSnapshot(msg)
	if err != nil && p.ctx.Err() == nil {
		p.s.logger.Warn("a snapshot did not arrive", "member", p.s.cfg.Member.Name, "peer", p.to.Name, "error", err)
	}
	return err == nil
}

func (p *peer) sendSnapshot(msg *raftpb.Message) error {
	whole, err := proto.Marshal(msg)
	if err != nil {
		return err
	}
	if len(whole) > wire.MaxSnapshot {
		return wire.ErrTooLong
	}
	conn, r, err := p.dial(true)
	if err != nil {
		return err
	}
	defer p.s.drop(conn)
	defer context.AfterFunc(p.ctx, func() { _ = conn.Close() })()
	const transfer = 1 // there is one on a connection
	var b []byte
	for at := 0; at < len(whole); at += wire.MaxPart {
		b = wire.AppendPart(b[:0], wire.Part{
			Transfer: transfer, Offset: uint64(at), Total: uint64(len(whole)),
			Data: whole[at:min(at+wire.MaxPart, len(whole))],
		})
		_ = conn.SetDeadline(time.Now().Add(writeTimeout)) // an error shows at the next call
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
	t, body, err := r.Next()
	if err != nil {
		return err
	}
	if n, err := wire.ParsePing(body); t != wire.TypePong || err != nil || n != transfer {
		return errors.New("it was not acknowledged")
	}
	return nil
}
