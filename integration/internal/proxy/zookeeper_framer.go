package proxy

import (
	"encoding/binary"
	"fmt"
)

// zkFramer finds the ends of ZooKeeper's packets: four bytes of length, then that
// many.
type zkFramer struct {
	head []byte
	left int
}

// maxPacket is beyond what a server accepts (jute.maxbuffer, 1 MiB unless told
// otherwise). A first byte above 3 tells TLS, text and four-letter words at once.
const maxPacket = 1<<26 - 1

func (f *zkFramer) Feed(p []byte) (n int, end bool, err error) {
	for n < len(p) {
		if len(f.head) < 4 {
			f.head = append(f.head, p[n])
			n++
			if f.head[0] > maxPacket>>24 {
				return n, false, fmt.Errorf("ZooKeeper: no length begins with %#x", f.head[0])
			}
			if len(f.head) < 4 {
				continue
			}
			f.left = int(binary.BigEndian.Uint32(f.head))
		} else {
			k := min(f.left, len(p)-n)
			f.left -= k
			n += k
		}
		if f.left == 0 {
			f.head = f.head[:0]
			return n, true, nil
		}
	}
	return n, false, nil
}
