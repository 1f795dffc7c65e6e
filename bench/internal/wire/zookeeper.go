package wire

import "encoding/binary"

// watchEvent is the number under which ZooKeeper sends what nobody asked for. Requests and their replies have positive
// ones, and those that the client library sends by itself (pings) other negative ones.
const watchEvent = -1

// ZooKeeper is its protocol: packets behind a length. The first four bytes of a packet number it, except in the first
// one of either direction, which begins with a protocol version that is never negative.
func ZooKeeper(c *Counter) (out, in stream) {
	return &packets{seen: func(int32) { c.commands.Add(1) }}, &packets{seen: func(number int32) {
		if number == watchEvent {
			c.pushes.Add(1)
		}
	}}
}

// packets walks such a stream and reports the number of each packet once all of it has passed.
type packets struct {
	seen func(number int32)

	head [8]byte // the length, and the number
	have int     // bytes of head
	left int64   // bytes of the packet behind head
}

func (s *packets) feed(p []byte) {
	for len(p) > 0 {
		if s.have < len(s.head) {
			n := copy(s.head[s.have:], p)
			s.have += n
			p = p[n:]
			if s.have < len(s.head) {
				return
			}
			s.left = int64(binary.BigEndian.Uint32(s.head[:4])) - 4
		}
		n := min(max(s.left, 0), int64(len(p)))
		s.left -= n
		p = p[n:]
		if s.left <= 0 {
			s.have = 0
			s.seen(int32(binary.BigEndian.Uint32(s.head[4:])))
		}
	}
}
