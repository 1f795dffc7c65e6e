package wire

import "encoding/binary"

// The types of frames of the built-in Raft that are counted: requests of a client, and what it is answered or told. A
// frame of answers may have been asked for or not, so pushes are not told apart.
const raftCommands = 4

// Raft is the protocol of its clients: four bytes of preface from the client, and then, both ways, frames behind a length,
// of which the first byte says the type. A frame has all commands that were ready at a time.
func Raft(c *Counter) (out, in stream) {
	return &typed{skip: 4, seen: func(kind byte) {
		if kind == raftCommands {
			c.commands.Add(1)
		}
	}}, &typed{seen: func(byte) {}}
}

// typed walks such a stream and reports the type of each frame once all of it has passed.
type typed struct {
	seen func(kind byte)
	skip int // bytes before the first frame

	head [5]byte // the length, and the type
	have int     // bytes of head
	left int64   // bytes of the frame behind head
}

func (s *typed) feed(p []byte) {
	n := min(s.skip, len(p))
	s.skip -= n
	p = p[n:]
	for len(p) > 0 {
		if s.have < len(s.head) {
			n := copy(s.head[s.have:], p)
			s.have += n
			p = p[n:]
			if s.have < len(s.head) {
				return
			}
			s.left = int64(binary.BigEndian.Uint32(s.head[:4])) - 1
		}
		n := min(max(s.left, 0), int64(len(p)))
		s.left -= n
		p = p[n:]
		if s.left <= 0 {
			s.have = 0
			s.seen(s.head[4])
		}
	}
}
