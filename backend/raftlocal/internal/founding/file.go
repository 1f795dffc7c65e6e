package founding

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
)

const (
	// founderFile is there from before the directory has said anything until it has begun.
	founderFile = "founder"
	// stateFile has the state that a cluster begins with which is restored from a backup.
	stateFile = "restored"
	fresh     = ".new" // follows the name of a file that is not complete
)

// Saved is what a directory remembers while it is to begin.
type Saved struct {
	Base  uint64  `json:"base"`
	Bound *Record `json:"bound,omitempty"`
}

// Load returns what was saved, or nil if there is nothing. What it returns is on the disk.
func Load(files disk.FS) (*Saved, error) {
	// The process before may have ended, or failed, between the name and its sync: what is told to
	// others now must not be gone after a loss of power.
	if err := files.SyncDir(); err != nil {
		return nil, err
	}
	b, err := read(files, founderFile)
	if b == nil || err != nil {
		return nil, err
	}
	s := new(Saved)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, damaged(founderFile)
	}
	return s, nil
}

// Save makes it durable.
func Save(files disk.FS, s Saved) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return write(files, founderFile, b)
}

// LoadState returns the state to begin with, or nil for none.
func LoadState(files disk.FS) ([]byte, error) {
	b, err := read(files, stateFile)
	if b == nil || err != nil {
		return nil, err
	}
	if len(b) < sha256.Size {
		return nil, damaged(stateFile)
	}
	state := b[sha256.Size:]
	if sum := sha256.Sum256(state); !bytes.Equal(sum[:], b[:sha256.Size]) {
		return nil, damaged(stateFile)
	}
	return state, nil
}

// SaveState makes it durable.
func SaveState(files disk.FS, state []byte) error {
	sum := sha256.Sum256(state)
	return write(files, stateFile, slices.Concat(sum[:], state))
}

// Forget removes all that is of no use once the directory has begun.
func Forget(files disk.FS) error {
	names, err := files.List()
	if err != nil {
		return err
	}
	gone := false
	for _, name := range []string{founderFile, stateFile, founderFile + fresh, stateFile + fresh} {
		if slices.Contains(names, name) {
			err, gone = errors.Join(err, files.Remove(name)), true
		}
	}
	if gone && err == nil {
		err = files.SyncDir()
	}
	return err
}

// Terms is the hash of what founders must have in common before they know each other: who they
// are, where, and the state that they begin with.
func Terms(cluster string, members []machine.Member, state []byte) uint64 {
	lines := []string{cluster}
	for _, m := range members {
		lines = append(lines, m.Name+"="+m.Addr)
	}
	slices.Sort(lines[1:])
	list, err := json.Marshal(lines)
	if err != nil {
		panic(err) // of strings none can fail
	}
	sum := sha256.Sum256(state)
	sum = sha256.Sum256(append(list, sum[:]...))
	return binary.BigEndian.Uint64(sum[:])
}

// read returns nil if there is no such file.
func read(files disk.FS, name string) ([]byte, error) {
	names, err := files.List()
	if err != nil || !slices.Contains(names, name) {
		return nil, err
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
		return nil, fmt.Errorf("reading the file %s: %w", name, err)
	}
	return b, nil
}

// write replaces a file at once.
func write(files disk.FS, name string, b []byte) error {
	if err := files.Remove(name + fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := files.Create(name+fresh, int64(len(b)))
	if err != nil {
		return fmt.Errorf("making the file %s: %w", name, err)
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the file %s: %w", name, err)
	}
	if err := files.Rename(name+fresh, name); err != nil {
		return fmt.Errorf("naming the file %s: %w", name, err)
	}
	return files.SyncDir()
}

func damaged(name string) error {
	return fmt.Errorf("the file %s is not as it was written: begin again with an empty directory, which was not in use yet", name)
}
