package wire

import (
	"encoding/binary"
	"slices"
	"testing"
)

func TestRaftCountsFramesOfCommands(t *testing.T) {
	frame := func(kind byte, rest string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(1+len(rest)))
		return string(append(b, kind)) + rest
	}
	const hello, ping = 1, 7
	out := "\x00flr" + frame(hello, "who") + frame(raftCommands, "two at once") + frame(ping, "") + frame(raftCommands, "\x00\x00\x00\x01\x04")
	for _, piece := range []int{1 << 10, 1, 7} {
		c := NewCounter(nil)
		requests, _ := Raft(c)
		for p := range slices.Chunk([]byte(out), piece) {
			requests.feed(p)
		}
		if got := c.Read(); got.Commands != 2 {
			t.Errorf("in pieces of %d: %+v, want 2 commands", piece, got)
		}
	}
}
