package wire

import (
	"encoding/binary"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// AppendResume appends the frame that says which session goes on on this connection: from
// here on its commands are taken from it, and from no other that was accepted earlier. It is not
// in the Hello since a client that looks for the leader may say that on several connections, and
// goes on on one.
func AppendResume(dst []byte, session uint64) []byte {
	at := len(dst)
	return end(binary.AppendUvarint(begin(dst, TypeResume), session), at)
}

// ParseResume takes it apart.
func ParseResume(body []byte) (session uint64, err error) {
	f := command.FieldsOf(body)
	session = f.Number()
	return session, f.Done()
}
