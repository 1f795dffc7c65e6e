package proxy

import (
	"encoding/binary"
	"fmt"
)

// zkFramer finds the ends of ZooKeeper's packets: four bytes of length, then that
// many.
type zkFramer struct{ headed }

// maxPacket is beyond what a server accepts (jute.maxbuffer, 1 MiB unless told
// otherwise). A first byte above 3 tells TLS, text and four-letter words at once.
const maxPacket = 1<<26 - 1

func (f *zkFramer) Feed(p []byte) (n int, end bool, err error) {
	return f.feed(p, 4, func(head []byte) error {
		if head[0] > maxPacket>>24 {
			return fmt.Errorf("ZooKeeper: no length begins with %#x", head[0])
		}
		return nil
	}, func(head []byte) int { return int(binary.BigEndian.Uint32(head)) })
}
