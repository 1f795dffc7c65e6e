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
	headed
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
	fed, end, err := f.feed(p[n:], http2Header, f.check, func(head []byte) int {
		f.settled = true
		return int(binary.BigEndian.Uint32(head) >> 8)
	})
	return n + fed, end, err
}

// check refuses another protocol as soon as it shows. The first frame of both sides
// is SETTINGS, a short one, so its first byte tells TLS and text.
func (f *http2Framer) check(head []byte) error {
	last := head[len(head)-1]
	switch {
	case len(head) == 1 && !f.settled && last != 0:
		return fmt.Errorf("HTTP/2: no first frame begins with %q", last)
	case len(head) == 4 && !f.settled && last != http2Settings:
		return fmt.Errorf("HTTP/2: a first frame of type %d", last)
	}
	return nil
}
