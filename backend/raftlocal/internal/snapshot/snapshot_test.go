package snapshot

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

var testID = wal.Identity{Cluster: "c", Member: 1, Name: "a"}

func snapshotAt(index uint64, data string) *raftpb.Snapshot {
	term := index/10 + 1
	return &raftpb.Snapshot{Data: []byte(data), Metadata: &raftpb.SnapshotMetadata{
		Index: &index, Term: &term, ConfState: &raftpb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}},
	}}
}

func TestNewestIsLoaded(t *testing.T) {
	fs := disk.NewMemory()
	if s, err := Load(fs, testID); s != nil || err != nil {
		t.Fatal(s, err)
	}
	for _, index := range []uint64{5, 20, 20, 300} {
		want := snapshotAt(index, "state")
		if err := Save(fs, testID, want); err != nil {
			t.Fatal(err)
		}
		got, err := Load(fs, testID)
		if err != nil || !proto.Equal(got, want) {
			t.Fatal(got, err)
		}
		if names, _ := fs.List(); len(names) != 1 {
			t.Fatal(names)
		}
	}
	if err := Save(fs, testID, snapshotAt(299, "")); err == nil {
		t.Error("saved one that would not be loaded")
	}
	if err := Save(fs, testID, &raftpb.Snapshot{}); err == nil {
		t.Error("saved one without an index")
	}
	for _, other := range []wal.Identity{{Cluster: "d", Member: 1, Name: "a"}, {Cluster: "c", Member: 2, Name: "a"}} {
		if _, err := Load(fs, other); !errors.Is(err, wal.ErrForeign) {
			t.Error(err)
		}
	}
}
