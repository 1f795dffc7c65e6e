package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// peers are the other members, as this one reaches them.
type peers struct {
	*self
	conns *conns
	told  *told
	inbox *inbox

	// Of the loop.
	byID        map[uint64]*peer
	introduced  []statemachine.Member // who has come in and is not in the book
	unreachable []uint64              // to whom messages were dropped

	mu    sync.Mutex
	known map[uint64]*peer // as byID; written by the loop
}

// keep keeps a connection to each other member, of these and of those who have come in. It is called in the
// loop.
func (ps *peers) keep(members []statemachine.Member) {
	want := slices.Clone(members)
	for _, m := range ps.introduced {
		if !slices.ContainsFunc(want, func(w statemachine.Member) bool { return w.ID == m.ID }) {
			want = append(want, m)
		}
	}
	want = slices.DeleteFunc(want, func(m statemachine.Member) bool { return m.ID == ps.id || m.Addr == "" })
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for id, p := range ps.byID {
		if !slices.Contains(want, p.to) {
			p.retire()
			delete(ps.byID, id)
			delete(ps.known, id)
		}
	}
	for _, m := range want {
		if ps.byID[m.ID] == nil {
			p := newPeer(ps, m)
			ps.byID[m.ID], ps.known[m.ID] = p, p
			ps.running.Go(p.run)
		}
	}
}

// maxIntroduced is how many members are remembered that are not in the book.
const maxIntroduced = 16

// introduce makes sure that a member which has come in can be answered, and that it is dialled
// now if it could not be reached before. One that is not in the book may have been added while
// this member was down, or this one is about to join.
func (ps *peers) introduce(who statemachine.Member) {
	ps.inbox.ask(func(m *member.Member) {
		if p := ps.byID[who.ID]; p != nil {
			p.now()
			return
		}
		if who.Addr == "" {
			return
		}
		if len(ps.introduced) == maxIntroduced {
			ps.introduced = ps.introduced[1:]
		}
		ps.introduced = append(ps.introduced, who)
		ps.keep(m.Members())
	})
}

// PeerState is how this member reaches another.
type PeerState struct {
	statemachine.Member
	Connected bool
	// Err is why it is not connected, if that is known; Refused, that the other has said so.
	Err     string
	Refused bool
}

// states appends how this member reaches the others.
func (ps *peers) states(all []PeerState) []PeerState {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.known {
		all = append(all, *p.state.Load())
	}
	return all
}

// reportSnapshot tells what became of one, in a later turn.
func (ps *peers) reportSnapshot(to uint64, arrived bool) {
	ps.inbox.ask(func(m *member.Member) { m.ReportSnapshot(to, arrived) })
}

// reportUnreachable tells to whom messages were dropped in this turn.
func (ps *peers) reportUnreachable(m *member.Member) {
	for _, id := range ps.unreachable {
		m.ReportUnreachable(id)
	}
	ps.unreachable = ps.unreachable[:0]
}

// Send puts a message where its writer takes it, or drops it.
func (ps *peers) Send(msg *raftpb.Message) {
	p := ps.byID[msg.GetTo()]
	if msg.GetType() == raftpb.MsgSnap {
		if p == nil || !p.sending.CompareAndSwap(false, true) {
			ps.reportSnapshot(msg.GetTo(), false)
			return
		}
		ps.running.Go(func() {
			arrived := p.snapshot(msg)
			p.sending.Store(false)
			ps.reportSnapshot(msg.GetTo(), arrived)
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
	if !slices.Contains(ps.unreachable, msg.GetTo()) {
		ps.unreachable = append(ps.unreachable, msg.GetTo())
	}
}

// snapshot sends a message with a snapshot on a connection of its own, and reports whether it
// arrived. Each part has a time; the whole may take long.
func (p *peer) snapshot(msg *raftpb.Message) bool {
	err := p.sendSnapshot(msg)
	if err != nil && p.ctx.Err() == nil {
		p.all.logger.Warn("a snapshot did not arrive", "member", p.all.cfg.Member.Name, "peer", p.to.Name, "error", err)
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
	defer p.all.conns.drop(conn)
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
