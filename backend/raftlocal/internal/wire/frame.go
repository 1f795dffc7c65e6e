// Package wire is what clients, members and operators say to each other over a connection.
//
// A connection begins with [Preface], which is neither HTTP nor TLS, so that clients, members
// and operators can be served on one port. Frames follow, in both directions: the length of what follows in 4
// bytes, big endian, a [Type] in one byte, and the body. A frame is never longer than
// [MaxFrame]; a snapshot goes in several.
//
//	client ──Preface, Hello──►            ──Resume, Commands──►     ──Ping──►
//	       ◄──Welcome or Refusal──        ◄──Answers, Moved──       ◄──Pong──
//	member ──Preface, Hello──►            ──Raft, Snapshot──►       (one way; there is another
//	       ◄──Welcome or Refusal──                                   connection for the other)
//	whoever has not begun
//	       ──Preface, Hello, Introduction──►
//	       ◄──Introduction or Refusal──     (that is all)
//
// The Append functions append one or more whole frames to a buffer, so that many go out in
// one write. A [Reader] gives one frame after another out of a buffer that it reuses; the
// Parse functions take the body of a frame apart. They take any bytes whatever without a
// panic, and keep nothing of the body unless they say so.
//
// There is no checksum: TLS has a better one, and where it is switched off by name, TCP's
// has to do.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
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
	// little is how large it is at first as long as the Limit is lower: a stranger that connects and says
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
// connection. A caller that works through all of these before it acts on them does so once.
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

// Preface is how a connection begins.
const Preface = "\x00flr"

// MaxFrame is how long a frame may be, its length field not counted. A reader that is told of a
// longer one ends the connection.
const MaxFrame = 4 << 20

// fill is when the Append functions that can begin another frame.
const fill = 1 << 20

// Type is what a frame is.
type Type uint8

// The types.
const (
	TypeHello         Type = iota + 1 // who speaks; the first frame, after Preface
	TypeWelcome                       // the answer to Hello
	TypeRefusal                       // instead of Welcome, or later: why the connection ends
	TypeCommands                      // of a client's sessions
	TypeAnswers                       // and pushes, to a client
	TypeMoved                         // to a client: another member leads; the connection ends
	TypePing                          // is somebody there?
	TypePong                          // yes
	TypeRaft                          // a message of one member's raft to another's
	TypeSnapshot                      // a part of a raft message that is too long, or of a backup
	TypePeerHandshake                 // what members tell each other of themselves
	TypeResume                        // a client's session goes on on this connection
	TypeVoid                          // to a client: all that was granted is void, and why
	TypeTrouble                       // to a client: what keeps this member from serving; empty when that is over
)

func (t Type) String() string {
	names := [...]string{
		"", "hello", "welcome", "refusal", "commands", "answers", "moved", "ping", "pong", "raft", "snapshot",
		"peer handshake", "resume", "void", "trouble",
	}
	if int(t) < len(names) && t > 0 {
		return names[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// begin appends the head of a frame, with room for its length.
func begin(dst []byte, t Type) []byte { return append(dst, 0, 0, 0, 0, byte(t)) }

// end fills in the length of the frame that begins at an offset of dst, and is the last.
func end(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4)) //nolint:gosec // MaxFrame is checked where it may be exceeded
	return dst
}

// ErrMalformed is returned for a frame that is not what its type says.
var ErrMalformed = command.ErrMalformed

// ErrTooLong is returned for a frame of more than MaxFrame.
var ErrTooLong = errors.New("the frame is too long")

// checked is end for a body whose length others decide. If it is too long, dst is returned
// as it was.
func checked(dst []byte, at int) ([]byte, error) {
	if n := len(dst) - at - 4; n > MaxFrame {
		return dst[:at], fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLong, n, MaxFrame)
	}
	return end(dst, at), nil
}
