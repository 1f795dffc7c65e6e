package wal_test

import (
	"fmt"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

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
