// Package snapshot keeps the newest snapshot of a member: one file, with a name that says
// its index. It is written under another name, and gets its own when it is on the disk, so
// there is a whole one at every time. A checksum covers all of it. One that is damaged is
// refused, and not passed over for an older one: the log that would lead on from there has
// been removed.
package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

const (
	suffix = ".snapshot"
	fresh  = ".new" // follows the name of a file that is not complete
)

// Name is the name of the file of a snapshot.
func Name(index uint64) string { return fmt.Sprintf("%016x%s", index, suffix) }

// isSnapshot reports whether a name is that of a snapshot.
func isSnapshot(name string) bool {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return false
	}
	index, err := strconv.ParseUint(digits, 16, 64)
	return err == nil && Name(index) == name
}

// Exists reports whether there is a snapshot in a directory, whole or not.
func Exists(fs disk.FS) (bool, error) {
	names, err := fs.List()
	if err != nil {
		return false, fmt.Errorf("looking for a snapshot: %w", err)
	}
	return slices.ContainsFunc(names, isSnapshot), nil
}

// Save makes a snapshot durable, and then removes those before it. It must have an index.
// After an error it is not known whether Load will find it, or the one before, and the
// member must stop: trying again may seem to succeed and leave nothing on the disk. Not so after a
// [disk.ErrScarce]: there was nothing left to make a file of, and the same may be tried again.
func Save(fs disk.FS, id wal.Identity, s *raftpb.Snapshot) error {
	index := s.GetMetadata().GetIndex()
	if index == 0 {
		return errors.New("snapshot: it has no index")
	}
	b, err := encode(id, s)
	if err != nil {
		return err
	}
	name := Name(index)
	if err := write(fs, name, b); err != nil {
		return fmt.Errorf("writing the snapshot %s: %w", name, err)
	}
	return removeBefore(fs, name)
}

func write(fs disk.FS, name string, b []byte) (err error) {
	names, err := fs.List()
	if err != nil {
		return err
	}
	if err := removeIncomplete(fs, names); err != nil {
		return err
	}
	for _, other := range names {
		if isSnapshot(other) && other > name {
			return fmt.Errorf("there is a newer one, %s", other)
		}
	}
	f, err := fs.Create(name+fresh, int64(len(b)))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return errors.Join(disk.Scarce(err), fs.Remove(name+fresh))
	}
	if err := fs.Rename(name+fresh, name); err != nil {
		return err
	}
	return fs.SyncDir()
}

// removeIncomplete removes what a process has left that was killed in Save.
func removeIncomplete(fs disk.FS, names []string) error {
	for _, name := range names {
		if whole, ok := strings.CutSuffix(name, fresh); ok && isSnapshot(whole) {
			if err := fs.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeBefore removes older snapshots. The name of the new one is durable.
func removeBefore(fs disk.FS, newest string) error {
	names, err := fs.List()
	if err != nil {
		return fmt.Errorf("removing old snapshots: %w", err)
	}
	for _, name := range names {
		if isSnapshot(name) && name < newest {
			if err := fs.Remove(name); err != nil {
				return fmt.Errorf("removing the old snapshot %s: %w", name, err)
			}
		}
	}
	return nil
}

// Load returns the newest snapshot, or nil if there is none. It is on the disk when Load
// returns, whatever the process before did. One of another cluster or member is a
// [wal.ErrForeign], one that is not as it was written an [ErrDamaged]; both say what to do.
func Load(fs disk.FS, id wal.Identity) (*raftpb.Snapshot, error) {
	names, err := fs.List()
	if err != nil {
		return nil, fmt.Errorf("looking for a snapshot: %w", err)
	}
	newest := ""
	for _, name := range names { // sorted, and so by their indices
		if isSnapshot(name) {
			newest = name
		}
	}
	if newest == "" {
		return nil, nil
	}
	// The name may have been seen before it was on the disk.
	if err := fs.SyncDir(); err != nil {
		return nil, fmt.Errorf("loading a snapshot: %w", err)
	}
	b, err := read(fs, newest)
	if err != nil {
		return nil, fmt.Errorf("reading the snapshot %s: %w", newest, err)
	}
	return decode(b, newest, id)
}

func read(fs disk.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && (err != io.EOF || n < len(b)) { //nolint:errorlint // ReaderAt returns a bare EOF
		return nil, err
	}
	return b, nil
}

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
