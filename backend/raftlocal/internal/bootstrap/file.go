package bootstrap

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

const (
	// bootstrapperFile is there from before the directory has said anything until it has begun.
	bootstrapperFile = "founder"
	// stateFile has the state that a cluster begins with which is restored from a backup.
	stateFile = "restored"
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
	b, err := disk.ReadFile(files, bootstrapperFile)
	if b == nil || err != nil {
		return nil, err
	}
	s := new(Saved)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, damaged(bootstrapperFile)
	}
	return s, nil
}

// Save makes it durable.
func Save(files disk.FS, s Saved) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return disk.Replace(files, bootstrapperFile, b)
}

// LoadState returns the state to begin with, or nil for none.
func LoadState(files disk.FS) ([]byte, error) {
	b, err := disk.ReadFile(files, stateFile)
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
	return disk.Replace(files, stateFile, slices.Concat(sum[:], state))
}

// Forget removes all that is of no use once the directory has begun.
func Forget(files disk.FS) error {
	names, err := files.List()
	if err != nil {
		return err
	}
	gone := false
	for _, name := range []string{bootstrapperFile, stateFile, bootstrapperFile + disk.Fresh, stateFile + disk.Fresh} {
		if slices.Contains(names, name) {
			err, gone = errors.Join(err, files.Remove(name)), true
		}
	}
	if gone && err == nil {
		err = files.SyncDir()
	}
	return err
}

// Terms is the hash of what initial members must have in common before they know each other: who they
// are, where, and the state that they begin with.
func Terms(cluster string, members []statemachine.Member, state []byte) uint64 {
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

func damaged(name string) error {
	return fmt.Errorf("the file %s is not as it was written: begin again with an empty directory, which was not in use yet", name)
}
