package server

import (
	"net"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// serveMember takes the messages of another member until the connection ends.
func (s *Server) serveMember(c net.Conn, r *wire.Reader, h wire.Hello, i introduction) {
	v, err := s.visit(c, h, i)
	if err != nil {
		s.refuse(c, err)
		return
	}
	defer s.leave(c, h.Member, v)
	if _, err := c.Write(s.greeting()); err != nil {
		return
	}
	s.introduce(statemachine.Member{ID: h.Member, Name: h.Name, Addr: i.Addr})
	var snapshot wire.Assembly
	var msgs []*raftpb.Message
	weight := 0
	for {
		_ = c.SetDeadline(time.Now().Add(writeTimeout)) // an error shows at the next call
		t, body, err := r.Next()
		if err != nil {
			return
		}
		v.heard.Store(int64(s.age()))
		switch t {
		case wire.TypeRaft:
			msgs, err = appendMessage(msgs, body, h.Member)
			weight += len(body)
		case wire.TypeSnapshot:
			var part wire.Part
			var whole []byte
			if part, err = wire.ParsePart(body); err != nil {
				return
			}
			if whole, err = snapshot.Add(part); err != nil || whole == nil {
				break
			}
			if msgs, err = appendMessage(msgs, whole, h.Member); err == nil {
				weight += len(whole)
				_, err = c.Write(wire.AppendPong(nil, part.Transfer))
			}
		case wire.TypePing:
			var n uint64
			if n, err = wire.ParsePing(body); err == nil {
				_, err = c.Write(wire.AppendPong(nil, n))
			}
		default:
			return
		}
		if err != nil {
			s.logger.Warn("a member is cut off", "member", s.cfg.Member.Name, "from", h.Name, "error", err)
			return
		}
		if len(msgs) == 0 || r.More() && weight < maxInbox {
			continue
		}
		together := msgs
		s.inbox.fromMember(weight, func(m *member.Member) {
			for _, msg := range together {
				m.Receive(msg)
			}
		})
		msgs, weight = nil, 0
	}
}

// appendMessage appends a message, if it is by who is connected.
func appendMessage(msgs []*raftpb.Message, body []byte, from uint64) ([]*raftpb.Message, error) {
	msg := new(raftpb.Message)
	if err := wire.ParseRaft(body, msg); err != nil || msg.GetFrom() != from {
		return msgs, err
	}
	return append(msgs, msg), nil
}

// maxIntroduced is how many members are remembered that are not in the book.
const maxIntroduced = 16

// introduce makes sure that a member which has come in can be answered, and that it is dialled
// now if it could not be reached before. One that is not in the book may have been added while
// this member was down, or this one is about to join.
func (s *Server) introduce(who statemachine.Member) {
	s.inbox.ask(func(*member.Member) {
		l := &s.loop
		if p := l.peers[who.ID]; p != nil {
			p.now()
			return
		}
		if who.Addr == "" {
			return
		}
		if len(l.introduced) == maxIntroduced {
			l.introduced = l.introduced[1:]
		}
		l.introduced = append(l.introduced, who)
		s.keepPeers()
	})
}
