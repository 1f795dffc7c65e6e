package wal_test

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

var testID = wal.Identity{Cluster: "c", Member: 1, Name: "a"}

// The smallest segments that the script below fills in different ways.
const smallSegment = 4 * 512

// state is what must be on the disk.
type state struct {
	created   bool
	hard      *raftpb.HardState
	entries   []*raftpb.Entry // without gaps
	compacted uint64          // up to here they may be gone
	snapshot  *raftpb.Snapshot
}

func (s *state) last() uint64 {
	if n := len(s.entries); n > 0 {
		return s.entries[n-1].GetIndex()
	}
	return s.compacted
}

func (s *state) add(es []*raftpb.Entry) {
	if n := len(es); n > 0 && len(s.entries) > 0 {
		keep := es[0].GetIndex() - s.entries[0].GetIndex()
		s.entries = slices.Concat(s.entries[:keep], es)
	} else if n > 0 {
		s.entries = es
	}
}

// life is a process that uses a directory.
type life struct {
	fs  disk.FS
	log *wal.Log
}

// step is one thing that it does, and what is on the disk if that has succeeded.
type step struct {
	name string
	do   func(*life) error
	then func(*state)
}

// powerGone is what a hook panics with to take the power away.
type powerGone struct{}

var errPower = errors.New("the power has gone")

// live takes steps up to the first error or loss of power. It returns what has been
// acknowledged, and what may be on the disk as well.
func live(fs disk.FS, steps []step) (acked, maybe state, err error) {
	defer func() {
		if r := recover(); r == (powerGone{}) {
			err = errPower
		} else if r != nil {
			panic(r)
		}
	}()
	l := &life{fs: fs}
	defer func() {
		if l.log != nil {
			_ = l.log.Close()
		}
	}()
	for _, s := range steps {
		maybe = acked
		s.then(&maybe)
		if err := s.do(l); err != nil {
			return acked, maybe, fmt.Errorf("%s: %w", s.name, err)
		}
		acked = maybe
	}
	return acked, maybe, nil
}

// look opens what is on the disk, and returns which of two states it is. Its log is left
// open for more.
func look(fs disk.FS, acked, maybe state) (found state, log *wal.Log, err error) {
	there, err := wal.Exists(fs)
	if err != nil {
		return found, nil, err
	}
	if !there {
		if acked.created {
			return found, nil, errors.New("the log has gone")
		}
		if err := wal.CreateSized(fs, testID, smallSegment); err != nil {
			return found, nil, err
		}
	}
	snap, err := snapshot.Load(fs, testID)
	if err != nil {
		return found, nil, err
	}
	log, c, err := wal.Open(fs, testID)
	if err != nil {
		return found, nil, err
	}
	first := maybe.differs(c, snap)
	if first == nil {
		return maybe, log, nil
	}
	if err := acked.differs(c, snap); err != nil {
		_ = log.Close()
		return found, nil, fmt.Errorf("%w (and with what was not acknowledged: %w)", err, first)
	}
	return acked, log, nil
}

// differs returns what is on the disk and must not be, or is not and must.
func (s *state) differs(c wal.Contents, snap *raftpb.Snapshot) error {
	if !proto.Equal(snap, s.snapshot) {
		return fmt.Errorf("the snapshot is %v, not %v", snap, s.snapshot)
	}
	if !proto.Equal(c.Hard, s.hard) {
		return fmt.Errorf("the hard state is %v, not %v", c.Hard, s.hard)
	}
	if len(c.Entries) == 0 {
		if s.last() > s.compacted {
			return fmt.Errorf("no entries up to %d", s.last())
		}
		return nil
	}
	if first := c.Entries[0].GetIndex(); first > s.compacted+1 {
		return fmt.Errorf("the first entry is %d, and the snapshot is of %d", first, s.compacted)
	}
	if last := c.Entries[len(c.Entries)-1].GetIndex(); last != s.last() {
		return fmt.Errorf("the last entry is %d, not %d", last, s.last())
	}
	if len(c.Entries) > len(s.entries) {
		return fmt.Errorf("%d entries, and %d were written", len(c.Entries), len(s.entries))
	}
	for i, e := range s.entries[len(s.entries)-len(c.Entries):] {
		if !proto.Equal(c.Entries[i], e) {
			return fmt.Errorf("the entry is %v, not %v", c.Entries[i], e)
		}
	}
	return nil
}
