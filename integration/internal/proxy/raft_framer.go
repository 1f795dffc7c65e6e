package proxy

import (
	"encoding/binary"
	"errors"
)

// raftPreface is how a connection begins: a frame by itself here.
const raftPreface = "\x00flr"

// raftFramer finds the ends of frames: four bytes of length, then that many. No frame is as
// long as 16 MiB, so the first byte is zero, which tells TLS and HTTP at once.
type raftFramer struct {
	headed
	preface bool // comes first
}

var errNotRaft = errors.New("raft: this is another protocol")

func (f *raftFramer) Feed(p []byte) (n int, end bool, err error) {
	n, end, err = f.feed(p, 4, func(head []byte) error {
		if last := len(head) - 1; head[0] != 0 || f.preface && head[last] != raftPreface[last] {
			return errNotRaft
		}
		return nil
	}, func(head []byte) int {
		if f.preface {
			return 0
		}
		return int(binary.BigEndian.Uint32(head))
	})
	if end {
		f.preface = false
	}
	return n, end, err
}
