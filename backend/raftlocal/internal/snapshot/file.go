package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// ErrDamaged means that a snapshot cannot be read back.
var ErrDamaged = errors.New("damaged")

const (
	magic   = "fencesnp"
	version = 1
)

// The offsets in a file. The names of cluster and member follow, each after its length in
// two bytes, and then the snapshot.
const (
	atVersion = 8
	atSum     = 12 // of all that follows, started from what is before
	atLength  = 16 // of the snapshot
	atIndex   = 24
	atMember  = 32
	atNames   = 40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(id wal.Identity, s *raftpb.Snapshot) ([]byte, error) {
	le := binary.LittleEndian
	b := make([]byte, atNames, atNames+4+len(id.Cluster)+len(id.Name)+proto.Size(s))
	copy(b, magic)
	le.PutUint32(b[atVersion:], version)
	le.PutUint64(b[atIndex:], s.GetMetadata().GetIndex())
	le.PutUint64(b[atMember:], id.Member)
	for _, name := range []string{id.Cluster, id.Name} {
		b = append(le.AppendUint16(b, uint16(len(name))), name...)
	}
	names := len(b)
	b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, s)
	if err != nil {
		return nil, fmt.Errorf("encoding the snapshot: %w", err)
	}
	le.PutUint64(b[atLength:], uint64(len(b)-names))
	le.PutUint32(b[atSum:], sum(b))
	return b, nil
}

func sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:atSum], castagnoli), castagnoli, b[atLength:])
}

func decode(b []byte, name string, id wal.Identity) (*raftpb.Snapshot, error) {
	le := binary.LittleEndian
	switch {
	case len(b) < atNames:
		return nil, damage(name, "the file ends at byte %d", len(b))
	case string(b[:len(magic)]) != magic || sum(b) != le.Uint32(b[atSum:]):
		return nil, damage(name, "its checksum is wrong")
	case le.Uint32(b[atVersion:]) != version:
		return nil, fmt.Errorf("%s has the format %d, and this program knows %d only: run the version that wrote it", name, le.Uint32(b[atVersion:]), version)
	}
	owner := wal.Identity{Member: le.Uint64(b[atMember:])}
	rest := b[atNames:]
	for _, field := range []*string{&owner.Cluster, &owner.Name} {
		if len(rest) < 2 || len(rest) < 2+int(le.Uint16(rest)) {
			return nil, damage(name, "its names do not end")
		}
		n := 2 + int(le.Uint16(rest))
		*field, rest = string(rest[2:n]), rest[n:]
	}
	if err := id.Admit(owner, name); err != nil {
		return nil, err
	}
	s := &raftpb.Snapshot{}
	if err := proto.Unmarshal(rest, s); err != nil {
		return nil, damage(name, "%v", err)
	}
	index := le.Uint64(b[atIndex:])
	if uint64(len(rest)) != le.Uint64(b[atLength:]) || s.GetMetadata().GetIndex() != index || Name(index) != name {
		return nil, damage(name, "it is of the index %d", index)
	}
	return s, nil
}

func damage(name, format string, what ...any) error {
	return fmt.Errorf("the snapshot %s is %w: %s: %s",
		name, ErrDamaged, fmt.Sprintf(format, what...), disk.Cure)
}
