package wire

import "encoding/binary"

// headed walks a stream of messages behind their lengths, of four bytes each, and shows the head of each message, which
// begins with the length, once all of the message has passed.
type headed struct {
	seen func(head []byte)
	of   int // bytes of a head, at most 8
	skip int // bytes before the first message

	head [8]byte
	have int   // bytes of head
	left int64 // bytes of the message behind head
}

func (s *headed) feed(p []byte) {
	n := min(s.skip, len(p))
	s.skip -= n
	p = p[n:]
	for len(p) > 0 {
		if s.have < s.of {
			n := copy(s.head[s.have:s.of], p)
			s.have += n
			p = p[n:]
			if s.have < s.of {
				return
			}
			s.left = int64(binary.BigEndian.Uint32(s.head[:4])) + 4 - int64(s.of)
		}
		n := min(max(s.left, 0), int64(len(p)))
		s.left -= n
		p = p[n:]
		if s.left <= 0 {
			s.have = 0
			s.seen(s.head[:s.of])
		}
	}
}
