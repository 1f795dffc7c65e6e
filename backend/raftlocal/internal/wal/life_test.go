package wal_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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

var errPower = errors.New("the power has gone")

// live takes steps up to the first error or loss of power. It returns what has been
// acknowledged, and what may be on the disk as well.
func live(fs disk.FS, steps []step) (acked, maybe state, err error) {
	defer func() {
		if r := recover(); r == errPower {
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

func hardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

// entry makes an entry with data of a size, that no other has.
func entry(index, term uint64, size int) *raftpb.Entry {
	kind := raftpb.EntryType(index % 3)
	e := &raftpb.Entry{Index: &index, Term: &term, Type: &kind}
	if size > 0 {
		text := fmt.Sprintf("%d/%d ", index, term)
		e.Data = []byte(strings.Repeat(text, size/len(text)+1)[:size])
	}
	return e
}

// The steps.

func creates() step {
	return step{
		"create",
		func(l *life) error { return wal.CreateSized(l.fs, testID, smallSegment) },
		func(s *state) { s.created = true },
	}
}

func opens() step {
	return step{"open", func(l *life) (err error) {
		if l.log != nil {
			if err := l.log.Close(); err != nil {
				return err
			}
		}
		l.log, _, err = wal.Open(l.fs, testID)
		return err
	}, func(*state) {}}
}

func prepares() step {
	return step{"prepare", func(l *life) error { return l.log.Prepare() }, func(*state) {}}
}

func appends(hs *raftpb.HardState, es ...*raftpb.Entry) step {
	return step{fmt.Sprintf("append %v %v", hs, es), func(l *life) error { return l.log.Append(hs, es) }, func(s *state) {
		if hs != nil {
			s.hard = hs
		}
		s.add(es)
	}}
}

func saves(index uint64) step {
	term := index
	snap := &raftpb.Snapshot{
		Data:     []byte(strings.Repeat("state ", int(index*20))),
		Metadata: &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: &raftpb.ConfState{Voters: []uint64{1}}},
	}
	return step{
		fmt.Sprintf("save %d", index),
		func(l *life) error { return snapshot.Save(l.fs, testID, snap) },
		func(s *state) { s.snapshot = snap },
	}
}

func compacts(index uint64) step {
	return step{
		fmt.Sprintf("compact %d", index),
		func(l *life) error { return l.log.Compact(index) },
		func(s *state) { s.compacted = max(s.compacted, index) },
	}
}

func restarts(hs *raftpb.HardState, index uint64) step {
	return step{
		fmt.Sprintf("restart %d", index),
		func(l *life) error { return l.log.Restart(hs, index) },
		func(s *state) { s.hard, s.entries, s.compacted = hs, nil, index },
	}
}

// script is a life in which all happens that can.
func script() []step {
	return []step{
		creates(), opens(),
		appends(hardState(1, 1, 0)),
		appends(hardState(1, 1, 1), entry(1, 1, 0), entry(2, 1, 100)),
		appends(nil, entry(3, 1, 900)), // 2 blocks: the next segment
		appends(hardState(2, 0, 1), entry(2, 2, 300)),
		prepares(),
		appends(nil, entry(3, 2, 10), entry(4, 2, 10), entry(5, 2, 700)),
		appends(nil, entry(6, 2, 1300)), // a whole segment
		prepares(),
		appends(nil, entry(7, 2, 3000)), // more than the segment that is prepared
		appends(hardState(2, 2, 7), entry(8, 2, 10)),
		saves(5), compacts(5),
		opens(),
		appends(nil, entry(8, 3, 200), entry(9, 3, 200)),
		appends(nil, entry(9, 4, 400)),
		prepares(),
		appends(nil, entry(10, 4, 1200)),
		saves(9), compacts(9),
		saves(40), restarts(hardState(6, 0, 40), 40),
		appends(nil, entry(41, 6, 500), entry(42, 6, 0)),
		compacts(40),
		opens(),
		appends(nil, entry(43, 6, 50)),
	}
}
