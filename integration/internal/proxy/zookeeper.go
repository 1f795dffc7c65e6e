package proxy

import (
	"encoding/binary"
	"errors"
)

// ZooKeeper is its client protocol. A reply names its request by a number; pings,
// authentication and the re-arming of watches have one number for all of their
// kind, and are answered in order. A watch that fires is a push.
//
// The functions that choose are shown packets without the length in front. A
// ConnectRequest gets the header that it lacks: see [ZKOp].
//
// Clients ping a server by themselves while they have nothing else to ask, so a
// fault should say which request it means: [Proxy.LoseReply] may lose the answer to
// a ping.
func ZooKeeper() Session { return &zooKeeper{pending: map[int32][]*Request{}} }

type zooKeeper struct {
	connect   *Request // the first packet
	connected bool     // it was answered
	pending   map[int32][]*Request
}

// zkWatchEvent is the number of a packet that answers nothing.
const zkWatchEvent = -1

var errZKShort = errors.New("ZooKeeper: a packet without a header")

func (*zooKeeper) Requests() Framer { return &zkFramer{} }
func (*zooKeeper) Replies() Framer  { return &zkFramer{} }

func (s *zooKeeper) Sent(frame []byte) (*Request, []*Request, error) {
	packet := frame[4:]
	if s.connect == nil {
		s.connect = &Request{Bytes: zkHeaded(packet)}
		return nil, []*Request{s.connect}, nil
	}
	if len(packet) < zkHeader {
		return nil, nil, errZKShort
	}
	r := &Request{Bytes: packet}
	xid := zkInt(packet)
	s.pending[xid] = append(s.pending[xid], r)
	return nil, []*Request{r}, nil
}

func (s *zooKeeper) Received(frame []byte) ([]Message, error) {
	m := Message{Bytes: frame[4:]}
	if !s.connected {
		s.connected = true
		m.To = s.connect
		return []Message{m}, nil
	}
	if len(m.Bytes) < 4 {
		return nil, errZKShort
	}
	xid := zkInt(m.Bytes)
	switch asked := s.pending[xid]; {
	case xid == zkWatchEvent:
		m.Push = true
	case len(asked) == 1:
		m.To = asked[0]
		delete(s.pending, xid)
	case len(asked) > 1:
		m.To, s.pending[xid] = asked[0], asked[1:]
	}
	return []Message{m}, nil
}

func zkInt(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }
