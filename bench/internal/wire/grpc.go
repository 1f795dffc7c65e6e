package wire

import (
	"encoding/binary"
	"sync"
)

// GRPC is gRPC over HTTP/2 without TLS, as etcd speaks it. What counts is a message, on whatever stream: one of the
// client is a command, and one of the server that comes when the stream owes no answer is a push. HTTP/2's own frames
// (headers, pings, windows) count as bytes only.
func GRPC(c *Counter) (out, in stream) {
	s := &rpcs{counter: c, open: map[uint32]*rpc{}}
	return &h2{preface: len(clientPreface), data: s.asked, reset: s.forget}, &h2{data: s.answered, reset: s.forget, end: s.forget}
}

const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// rpcs are the calls of a connection. Its two directions are fed by two goroutines, and share them.
type rpcs struct {
	counter *Counter

	mu   sync.Mutex
	open map[uint32]*rpc
}

// rpc is one call: an HTTP/2 stream with messages in both directions.
type rpc struct {
	out, in messages
	owed    int // messages of the client that have had no answer
}

// asked gets data of the client.
func (s *rpcs) asked(id uint32, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.open[id]
	if r == nil {
		r = new(rpc)
		s.open[id] = r
	}
	n := r.out.feed(p)
	r.owed += n
	s.counter.commands.Add(int64(n))
}

// answered gets data of the server.
func (s *rpcs) answered(id uint32, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.open[id]
	if r == nil {
		return // given up by the client, while this was under way
	}
	for range r.in.feed(p) {
		if r.owed > 0 {
			r.owed--
		} else {
			s.counter.pushes.Add(1)
		}
	}
}

// forget drops a call that the server has ended, or that either side has reset. One that the client has merely ended
// still gets its answer.
func (s *rpcs) forget(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
}

// messages walks the data of one stream in one direction: a flag byte, four bytes of length, the message.
type messages struct {
	have int // bytes of the prefix
	left uint32
}

// feed returns the number of messages that p completes.
func (m *messages) feed(p []byte) int {
	done := 0
	for len(p) > 0 {
		if m.have < 5 {
			if m.have > 0 {
				m.left = m.left<<8 | uint32(p[0])
			}
			m.have++
			p = p[1:]
			if m.have < 5 || m.left > 0 {
				continue
			}
		}
		n := min(uint64(m.left), uint64(len(p)))
		m.left -= uint32(n)
		p = p[n:]
		if m.left == 0 {
			done++
			m.have = 0
		}
	}
	return done
}

// h2 walks one direction of an HTTP/2 connection frame by frame. Headers are compressed, but nothing in them is needed.
type h2 struct {
	preface int // bytes before the first frame, still to come
	data    func(id uint32, p []byte)
	reset   func(id uint32)
	end     func(id uint32) // nil: of no interest

	head [9]byte
	have int // bytes of head
	left int // bytes of the frame behind head
	pad  int // bytes at the frame's end that are padding; -1: the next byte tells
}

// Frames and flags of RFC 9113, section 6.
const (
	frameData    = 0
	frameHeaders = 1
	frameReset   = 3

	flagEnd    = 1
	flagPadded = 8
)

func (s *h2) feed(p []byte) {
	n := min(s.preface, len(p))
	s.preface -= n
	p = p[n:]
	for len(p) > 0 {
		if s.have < len(s.head) {
			n := copy(s.head[s.have:], p)
			s.have += n
			p = p[n:]
			if s.have < len(s.head) {
				return
			}
			s.begin()
		}
		n := min(s.left, len(p))
		s.body(p[:n])
		s.left -= n
		p = p[n:]
		if s.left == 0 {
			s.finish()
		}
	}
}

func (s *h2) kind() byte       { return s.head[3] }
func (s *h2) has(f byte) bool  { return s.head[4]&f != 0 }
func (s *h2) streamID() uint32 { return binary.BigEndian.Uint32(s.head[5:]) &^ (1 << 31) }

func (s *h2) begin() {
	s.left = int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2])
	s.pad = 0
	if s.kind() == frameData && s.has(flagPadded) {
		s.pad = -1
	}
}

// body gets the next bytes of a frame; s.left still counts them.
func (s *h2) body(p []byte) {
	if s.kind() != frameData || len(p) == 0 {
		return
	}
	left := s.left
	if s.pad < 0 {
		s.pad = int(p[0])
		p = p[1:]
		left--
	}
	if n := min(left-s.pad, len(p)); n > 0 {
		s.data(s.streamID(), p[:n])
	}
}

func (s *h2) finish() {
	s.have = 0
	switch {
	case s.kind() == frameReset:
		s.reset(s.streamID())
	case (s.kind() == frameData || s.kind() == frameHeaders) && s.has(flagEnd) && s.end != nil:
		s.end(s.streamID())
	}
}
