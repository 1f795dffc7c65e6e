package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Preface is how a connection begins.
const Preface = "\x00flr"

// MaxFrame is how long a frame may be, its length field not counted. Whoever is told of a
// longer one ends the connection.
const MaxFrame = 4 << 20

// fill is when the Append functions that can begin another frame.
const fill = 1 << 20

// Type is what a frame is.
type Type uint8

// The types.
const (
	TypeHello        Type = iota + 1 // who speaks; the first frame, after Preface
	TypeWelcome                      // the answer to Hello
	TypeRefusal                      // instead of Welcome, or later: why the connection ends
	TypeCommands                     // of a client's sessions
	TypeAnswers                      // and pushes, to a client
	TypeMoved                        // to a client: another member leads; the connection ends
	TypePing                         // is somebody there?
	TypePong                         // yes
	TypeRaft                         // a message of one member's raft to another's
	TypeSnapshot                     // a part of a raft message that is too long, or of a backup
	TypeIntroduction                 // what members tell each other of themselves
	TypeResume                       // a client's session goes on on this connection
	TypeVoid                         // to a client: all that was granted is void, and why
	TypeTrouble                      // to a client: what keeps this member from serving; empty when that is over
)

func (t Type) String() string {
	names := [...]string{
		"", "hello", "welcome", "refusal", "commands", "answers", "moved", "ping", "pong", "raft", "snapshot",
		"introduction", "resume", "void", "trouble",
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
