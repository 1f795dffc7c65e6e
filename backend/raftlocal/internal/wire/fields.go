package wire

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is returned for a frame that is not what its type says.
var ErrMalformed = errors.New("malformed frame")

// fields takes a body apart, one field after another. After the first field that is not
// there, all are zero, and done returns an error.
type fields struct {
	rest []byte
	text string // a copy, from the first string on, from which strings are cut: one allocation for many
	bad  bool
}

func fieldsOf(body []byte) fields { return fields{rest: body} }

func (f *fields) fail() {
	f.bad = true
	f.rest = nil
}

func (f *fields) number() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// count returns how many things of at least a size follow: never more than can.
func (f *fields) count(size int) int {
	n := f.number()
	if n > uint64(len(f.rest)/size) {
		f.fail()
		return 0
	}
	return int(n) //nolint:gosec // checked
}

func (f *fields) octet() byte {
	if len(f.rest) == 0 {
		f.fail()
		return 0
	}
	v := f.rest[0]
	f.rest = f.rest[1:]
	return v
}

func (f *fields) bytes() []byte {
	n := f.count(1)
	v := f.rest[:n]
	f.rest = f.rest[n:]
	return v
}

func (f *fields) string() string {
	v := f.bytes()
	if len(v) == 0 {
		return ""
	}
	if f.text == "" {
		f.text = string(v[:len(v)+len(f.rest)]) // the rest lies behind it
	}
	end := len(f.text) - len(f.rest)
	return f.text[end-len(v) : end]
}

// done returns an error unless all was there, and nothing else.
func (f *fields) done() error {
	if f.bad || len(f.rest) > 0 {
		return ErrMalformed
	}
	return nil
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendFlag(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
