package command

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is returned for bytes that nothing encodes to.
var ErrMalformed = errors.New("malformed")

// Fields takes bytes apart, one field after another. After the first that is not there, or is
// written in another way than the shortest, all are zero, and Done returns ErrMalformed. So a
// decoder reads on without looking, and whatever it accepts encodes to the same bytes again.
type Fields struct {
	rest []byte
	text string // a copy of the bytes from the first string on, from which all strings are cut
	bad  bool
}

// FieldsOf takes b apart. What it returns points to no part of b.
func FieldsOf(b []byte) Fields { return Fields{rest: b} }

// Fail makes the bytes malformed: a field has a value that it cannot have.
func (f *Fields) Fail() {
	f.bad = true
	f.rest = nil
}

// Done returns an error unless all was there, and nothing else.
func (f *Fields) Done() error {
	if f.bad || len(f.rest) > 0 {
		return ErrMalformed
	}
	return nil
}

// Failed reports whether a field was malformed: those after it are zero.
func (f *Fields) Failed() bool { return f.bad }

// Number returns what binary.AppendUvarint has written.
func (f *Fields) Number() uint64 {
	if len(f.rest) > 0 && f.rest[0] < 0x80 {
		v := f.rest[0]
		f.rest = f.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(f.rest)
	if n <= 0 || f.rest[n-1] == 0 {
		f.Fail()
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// Count returns how many things follow of which each takes at least size bytes: never more
// than there can be.
func (f *Fields) Count(size int) int {
	n := f.Number()
	if n > uint64(len(f.rest)/size) {
		f.Fail()
		return 0
	}
	return int(n) //nolint:gosec // it is at most a length
}

// Octet returns a byte.
func (f *Fields) Octet() byte {
	if len(f.rest) == 0 {
		f.Fail()
		return 0
	}
	v := f.rest[0]
	f.rest = f.rest[1:]
	return v
}

// ID returns the name of a session.
func (f *Fields) ID() (id SessionID) {
	if len(f.rest) < len(id) {
		f.Fail()
		return id
	}
	f.rest = f.rest[copy(id[:], f.rest):]
	return id
}

// String returns what AppendString has written. All strings share the memory of one copy of
// the bytes: who keeps one for long clones it.
func (f *Fields) String() string {
	n := f.Count(1)
	if n == 0 {
		return ""
	}
	if f.text == "" {
		f.text = string(f.rest)
	}
	f.rest = f.rest[n:]
	end := len(f.text) - len(f.rest)
	return f.text[end-n : end]
}

// AppendString appends a string and its length.
func AppendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
