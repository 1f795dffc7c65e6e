package proxy

import (
	"encoding/binary"
	"errors"
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

// http2Header is the length of what each frame begins with.
const http2Header = 9

// The types and flags of frames that matter here.
const (
	http2Data         = 0
	http2Headers      = 1
	http2Reset        = 3
	http2Settings     = 4
	http2Continuation = 9

	http2EndStream  = 1 << 0
	http2EndHeaders = 1 << 2
	http2Padded     = 1 << 3
	http2Priority   = 1 << 5
)

// http2Frame is a frame; its payload is without padding and priority.
type http2Frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

var errHTTP2 = errors.New("HTTP/2: a frame with more padding than bytes")

func parseHTTP2(frame []byte) (http2Frame, error) {
	f := http2Frame{
		kind:    frame[3],
		flags:   frame[4],
		stream:  binary.BigEndian.Uint32(frame[5:]) &^ (1 << 31),
		payload: frame[http2Header:],
	}
	if f.kind != http2Data && f.kind != http2Headers {
		return f, nil
	}
	padding := 0
	if f.has(http2Padded) {
		if len(f.payload) == 0 {
			return f, errHTTP2
		}
		padding, f.payload = int(f.payload[0]), f.payload[1:]
	}
	if f.kind == http2Headers && f.has(http2Priority) {
		if len(f.payload) < 5 {
			return f, errHTTP2
		}
		f.payload = f.payload[5:]
	}
	if padding > len(f.payload) {
		return f, errHTTP2
	}
	f.payload = f.payload[:len(f.payload)-padding]
	return f, nil
}

func (f http2Frame) has(flag byte) bool { return f.flags&flag != 0 }

// ends reports whether nothing of the sender's follows on the stream, but the
// rest of these headers.
func (f http2Frame) ends() bool {
	switch f.kind {
	case http2Data, http2Headers:
		return f.has(http2EndStream)
	}
	return f.kind == http2Reset
}
