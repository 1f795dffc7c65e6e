package wire

import (
	"encoding/binary"
)

// Protocol tells the messages of a connection apart, in each direction.
type Protocol func(c *Counter) (out, in stream)

// stream is one direction of a connection. It is fed the bytes in order, in arbitrary pieces, by one goroutine at a time.
type stream interface {
	feed(p []byte)
}

// RESP is the protocol of Redis.
func RESP(c *Counter) (out, in stream) {
	return &frames{seen: func(byte) { c.commands.Add(1) }}, &frames{seen: func(kind byte) {
		if kind == '>' {
			c.pushes.Add(1)
		}
	}}
}

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

// The types of frames of the built-in Raft that are counted: requests of a client, and what it is answered or told. A
// frame of answers may have been asked for or not, so pushes are not told apart.
const raftCommands = 4

// Raft is the protocol of its clients: four bytes of preface from the client, and then, both ways, frames behind a length,
// of which the first byte says the type. A frame has all commands that were ready at a time.
func Raft(c *Counter) (out, in stream) {
	return &headed{skip: 4, of: 5, seen: func(head []byte) {
		if head[4] == raftCommands {
			c.commands.Add(1)
		}
	}}, &headed{of: 5, seen: func([]byte) {}}
}

// watchEvent is the number under which ZooKeeper sends what nobody asked for. Requests and their replies have positive
// ones, and those that the client library sends by itself (pings) other negative ones.
const watchEvent = -1

// ZooKeeper is its protocol: packets behind a length. The first four bytes of a packet number it, except in the first
// one of either direction, which begins with a protocol version that is never negative.
func ZooKeeper(c *Counter) (out, in stream) {
	return &headed{of: 8, seen: func([]byte) { c.commands.Add(1) }}, &headed{of: 8, seen: func(head []byte) {
		if int32(binary.BigEndian.Uint32(head[4:])) == watchEvent {
			c.pushes.Add(1)
		}
	}}
}
