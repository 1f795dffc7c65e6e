package wire

import "encoding/binary"

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
