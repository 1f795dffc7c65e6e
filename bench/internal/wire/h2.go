package wire

import "encoding/binary"

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
