package server

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// bootstrapHashFile has the hash of what the member's cluster began with. It lasts as long as the
// directory, and each member shows it to the others: so those that were told of different
// initial members, which would make two clusters of them, find out.
const bootstrapHashFile = "founding"

// bootstrapHashOf returns the hash, or 0 for a member that joined later. A member that has done
// nothing yet computes it.
func bootstrapHashOf(cfg member.Config, m *member.Member) (uint64, error) {
	names, err := cfg.FS.List()
	if err != nil {
		return 0, err
	}
	if slices.Contains(names, bootstrapHashFile) {
		return readBootstrapHash(cfg.FS)
	}
	status := m.Status()
	if len(status.Members) == 0 || status.Term > 1 || status.Last != status.SnapshotIndex {
		return 0, nil
	}
	hash := hashOf(m.Backup())
	return hash, writeBootstrapHash(cfg.FS, hash)
}

// hashOf is of the state that a cluster begins with: its members with their ids, the base of its
// tokens, and what was restored.
func hashOf(state []byte) uint64 {
	sum := sha256.Sum256(state)
	return binary.BigEndian.Uint64(sum[:])
}

func readBootstrapHash(files disk.FS) (uint64, error) {
	b, err := disk.ReadFile(files, bootstrapHashFile)
	if err == nil && len(b) < 8 {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case errors.Is(err, disk.ErrScarce):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("the file %s cannot be read: remove it, and the member goes on without: %w", bootstrapHashFile, err)
	}
	return binary.BigEndian.Uint64(b), nil
}

func writeBootstrapHash(files disk.FS, hash uint64) error {
	return disk.Replace(files, bootstrapHashFile, binary.BigEndian.AppendUint64(nil, hash))
}

// Bootstrap makes the files of a member that is alone, in an empty directory, and runs nothing.
func Bootstrap(cfg member.Config) error {
	cfg.Callbacks = nobody{}
	m, err := member.Open(cfg)
	if err != nil {
		return err
	}
	_, err = bootstrapHashOf(cfg, m)
	return errors.Join(err, m.Close())
}

// nobody is the outside of a member that does not run.
type nobody struct{}

func (nobody) Send(*raftpb.Message)                                 {}
func (nobody) Answer(member.Conn, []command.Answer, []command.Push) {}
func (nobody) Redirect(member.Conn, statemachine.Member)            {}
