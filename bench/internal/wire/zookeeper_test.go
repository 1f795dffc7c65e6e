package wire

import (
	"encoding/binary"
	"slices"
	"testing"
)

// packet makes one packet of ZooKeeper: a length, a number, the rest.
func packet(number int32, rest string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(rest)))
	return string(binary.BigEndian.AppendUint32(b, uint32(number))) + rest
}

func TestZooKeeperCountsPackets(t *testing.T) {
	const ping = -2
	out := packet(0, "a connect request") + packet(1, "create") + packet(ping, "") + packet(2, "\xff\xff\xff\xff looks like an event")
	in := packet(0, "a connect response") + packet(1, "created") + packet(watchEvent, "deleted") + packet(ping, "") + packet(watchEvent, "")
	for _, piece := range []int{1 << 10, 1, 5} {
		c := NewCounter(nil)
		requests, replies := ZooKeeper(c)
		for p := range slices.Chunk([]byte(out), piece) {
			requests.feed(p)
		}
		for p := range slices.Chunk([]byte(in), piece) {
			replies.feed(p)
		}
		if got := c.Read(); got.Commands != 4 || got.Pushes != 2 {
			t.Errorf("in pieces of %d: %+v, want 4 commands and 2 pushes", piece, got)
		}
	}
}
