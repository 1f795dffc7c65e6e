package server

import (
	"cmp"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
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
