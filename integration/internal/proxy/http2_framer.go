package proxy

import (
	"encoding/binary"
	"fmt"
)

// http2Preface is what a client begins with, as a frame of its own.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// http2Framer finds the ends of HTTP/2 frames.
type http2Framer struct {
	preface string // what of it is still to come
	settled bool   // the first frame has begun as it must
	head    []byte
	left    int // bytes of the payload to come
}

func (f *http2Framer) Feed(p []byte) (n int, end bool, err error) {
	for ; len(f.preface) > 0 && n < len(p); n++ {
		if p[n] != f.preface[0] {
			return n, false, fmt.Errorf("HTTP/2: a preface with %q in place of %q", p[n], f.preface[0])
		}
		if f.preface = f.preface[1:]; f.preface == "" {
			return n + 1, true, nil
		}
	}
	for n < len(p) {
		if len(f.head) < http2Header {
			f.head = append(f.head, p[n])
			n++
			if err := f.check(); err != nil {
				return n, false, err
			}
			if len(f.head) < http2Header {
				continue
			}
			f.settled = true
			f.left = int(binary.BigEndian.Uint32(f.head) >> 8)
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

// check refuses another protocol as soon as it shows. The first frame of both sides
// is SETTINGS, a short one, so its first byte tells TLS and text.
func (f *http2Framer) check() error {
	last := f.head[len(f.head)-1]
	switch {
	case len(f.head) == 1 && !f.settled && last != 0:
		return fmt.Errorf("HTTP/2: no first frame begins with %q", last)
	case len(f.head) == 4 && !f.settled && last != http2Settings:
		return fmt.Errorf("HTTP/2: a first frame of type %d", last)
	}
	return nil
}
