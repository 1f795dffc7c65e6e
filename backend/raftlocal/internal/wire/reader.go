package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Reader reads frames. Limit may be lowered, for as long as nobody knows who speaks. Not
// safe for concurrent use.
type Reader struct {
	// Limit is how long a frame may be; MaxFrame if NewReader has set it.
	Limit int

	src        io.Reader
	buf        []byte
	start, end int // what has been read and not been returned
}

const (
	// usual is how large the buffer is when it need not be larger.
	usual = 64 << 10
	// little is how large it is at first as long as the Limit is lower: whoever connects and says
	// nothing is to cost as little here as there.
	little = 512
)

// NewReader returns a reader of frames from src, which is behind its Preface.
func NewReader(src io.Reader) *Reader { return &Reader{Limit: MaxFrame, src: src} }

// Next reads the next frame. The body is valid until the next call. The error is io.EOF if
// the connection has ended between two frames.
func (r *Reader) Next() (Type, []byte, error) {
	length, err := r.length()
	if err != nil {
		return 0, nil, err
	}
	if err := r.fill(4 + length); err != nil {
		return 0, nil, err
	}
	frame := r.buf[r.start+4 : r.start+4+length]
	r.start += 4 + length
	return Type(frame[0]), frame[1:], nil
}

func (r *Reader) length() (int, error) {
	if err := r.fill(4); err != nil {
		return 0, err
	}
	length := int64(binary.BigEndian.Uint32(r.buf[r.start:]))
	switch {
	case length == 0:
		return 0, fmt.Errorf("%w: a frame of no length", ErrMalformed)
	case length > int64(r.Limit):
		return 0, fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLong, length, r.Limit)
	}
	return int(length), nil
}

// More reports whether Next would return a frame that has already been read from the
// connection. Whoever works through all of these before it acts on them does so once.
func (r *Reader) More() bool {
	have := r.end - r.start
	return have >= 4 && uint64(have-4) >= uint64(binary.BigEndian.Uint32(r.buf[r.start:]))
}

// fill reads until n bytes are there.
func (r *Reader) fill(n int) error {
	for r.end-r.start < n {
		if err := r.read(n); err != nil {
			if errors.Is(err, io.EOF) && r.end > r.start {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// read makes room for n bytes in all and reads once. The buffer grows with what arrives,
// and not with what is announced: an announcement costs the other side nothing.
func (r *Reader) read(n int) error {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if len(r.buf) > 4*usual || len(r.buf) < usual && r.Limit == MaxFrame {
			r.buf = nil // a long frame is rare; a little one was for a hello
		}
	}
	switch size := len(r.buf); {
	case size == 0 && r.Limit < MaxFrame:
		r.buf = make([]byte, little)
	case size == 0:
		r.buf = make([]byte, usual)
	case r.start > 0 && (r.end == size || r.start+n > size):
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	case r.end == size:
		larger := make([]byte, min(2*size, max(n, usual)))
		copy(larger, r.buf)
		r.buf = larger
	}
	got, err := r.src.Read(r.buf[r.end:])
	r.end += got
	if got > 0 {
		return nil // an error comes again
	}
	return err
}
