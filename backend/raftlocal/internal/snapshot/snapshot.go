package snapshot

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

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
