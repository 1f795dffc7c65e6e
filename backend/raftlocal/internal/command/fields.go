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
	data []byte
	at   int    // where the next field begins; an index, since it costs less to move than a slice
	text string // a copy of the bytes from the first string on, from which all strings are cut
	bad  bool
}

// FieldsOf takes b apart. What it returns, but for Bytes, points to no part of b.
func FieldsOf(b []byte) Fields { return Fields{data: b} }

// Fail makes the bytes malformed: a field has a value that it cannot have.
func (f *Fields) Fail() {
	f.bad = true
	f.at = len(f.data)
}

// Done returns an error unless all was there, and nothing else.
func (f *Fields) Done() error {
	if f.bad || f.at < len(f.data) {
		return ErrMalformed
	}
	return nil
}

// Failed reports whether a field was malformed: those after it are zero.
func (f *Fields) Failed() bool { return f.bad }

// Number returns what binary.AppendUvarint has written.
func (f *Fields) Number() uint64 {
	if f.at < len(f.data) && f.data[f.at] < 0x80 {
		f.at++
		return uint64(f.data[f.at-1])
	}
	v, n := binary.Uvarint(f.data[f.at:])
	if n <= 0 || f.data[f.at+n-1] == 0 {
		f.Fail()
		return 0
	}
	f.at += n
	return v
}

// Count returns how many things follow of which each takes at least size bytes: never more
// than there can be.
func (f *Fields) Count(size int) int {
	n := f.Number()
	if n > uint64((len(f.data)-f.at)/size) {
		f.Fail()
		return 0
	}
	return int(n) //nolint:gosec // it is at most a length
}

// Octet returns a byte.
func (f *Fields) Octet() byte {
	if f.at == len(f.data) {
		f.Fail()
		return 0
	}
	f.at++
	return f.data[f.at-1]
}

// ID returns the name of a session.
func (f *Fields) ID() (id SessionID) {
	if len(f.data)-f.at < len(id) {
		f.Fail()
		return id
	}
	f.at += copy(id[:], f.data[f.at:])
	return id
}

// More reports whether something is left.
func (f *Fields) More() bool { return f.at < len(f.data) }

// Bytes returns what AppendString has written, as a part of what is taken apart.
func (f *Fields) Bytes() []byte {
	n := f.Count(1)
	f.at += n
	return f.data[f.at-n : f.at]
}

// String returns what AppendString has written. All strings share the memory of one copy of
// the bytes: who keeps one for long clones it.
func (f *Fields) String() string {
	n := f.Count(1)
	if n == 0 {
		return ""
	}
	if f.text == "" {
		f.text = string(f.data[f.at:])
	}
	at := f.at - (len(f.data) - len(f.text))
	f.at += n
	return f.text[at : at+n]
}

// AppendString appends a string and its length.
func AppendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}
