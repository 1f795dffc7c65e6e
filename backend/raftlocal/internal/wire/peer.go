package wire

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// AppendRaft appends a message of raft. One that is too long is not appended, and the error
// is ErrTooLong: it goes in parts, see [Part].
func AppendRaft(dst []byte, m *raftpb.Message) ([]byte, error) {
	at := len(dst)
	dst, err := proto.MarshalOptions{}.MarshalAppend(begin(dst, TypeRaft), m)
	if err != nil {
		return dst[:at], fmt.Errorf("encoding a message to member %d: %w", m.GetTo(), err)
	}
	return checked(dst, at)
}

// ParseRaft takes a message apart. It points to no part of the body.
func ParseRaft(body []byte, m *raftpb.Message) error {
	if err := proto.Unmarshal(body, m); err != nil {
		return fmt.Errorf("message of raft: %w: %w", ErrMalformed, err)
	}
	return nil
}

// MaxPart is how long a part of a snapshot may be.
const MaxPart = 1 << 20

// MaxSnapshot is how long a snapshot may be that goes over a connection.
const MaxSnapshot = 1 << 30

// Part is a part of something long. Those of one Transfer follow each other, from Offset 0
// to Total, and no other's are between them.
type Part struct {
	Transfer      uint64 // a number of the sender's
	Offset, Total uint64
	Data          []byte // MaxPart at most; of a part that was parsed: in the body
}

// AppendPart appends a part.
func AppendPart(dst []byte, p Part) []byte {
	at := len(dst)
	dst = binary.AppendUvarint(begin(dst, TypeSnapshot), p.Transfer)
	dst = binary.AppendUvarint(dst, p.Offset)
	dst = binary.AppendUvarint(dst, p.Total)
	dst = binary.AppendUvarint(dst, uint64(len(p.Data)))
	return end(append(dst, p.Data...), at)
}

// ParsePart takes a part apart. Its data are in the body.
func ParsePart(body []byte) (Part, error) {
	f := command.FieldsOf(body)
	p := Part{Transfer: f.Number(), Offset: f.Number(), Total: f.Number(), Data: f.Bytes()}
	if err := f.Done(); err != nil {
		return Part{}, fmt.Errorf("part of a snapshot: %w", err)
	}
	return p, nil
}

// Assembly puts parts together. The zero value is ready.
type Assembly struct {
	transfer, total uint64
	data            []byte
}

// Add adds a part. It returns the whole when it was the last one, and nil before. What has
// been announced takes no memory; only what has come does.
func (a *Assembly) Add(p Part) (whole []byte, err error) {
	if p.Offset == 0 {
		*a = Assembly{transfer: p.Transfer, total: p.Total}
	}
	have := uint64(len(a.data))
	switch {
	case p.Total > MaxSnapshot:
		return nil, fmt.Errorf("%w: a snapshot of %d bytes, %d are allowed", ErrTooLong, p.Total, MaxSnapshot)
	case p.Transfer != a.transfer, p.Total != a.total, p.Offset != have, len(p.Data) == 0, uint64(len(p.Data)) > a.total-have:
		return nil, fmt.Errorf("%w: a part of a snapshot that does not follow the one before", ErrMalformed)
	}
	a.data = append(a.data, p.Data...)
	if uint64(len(a.data)) < a.total {
		return nil, nil
	}
	whole = a.data
	*a = Assembly{}
	return whole, nil
}
