package wal

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

var testID = Identity{Cluster: "c", Member: 1, Name: "a"}

func hardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

func entry(index, term uint64, data string) *raftpb.Entry {
	kind := raftpb.EntryType(index % 3)
	e := &raftpb.Entry{Index: &index, Term: &term, Type: &kind}
	if data != "" {
		e.Data = []byte(data)
	}
	return e
}

// entries makes n of them, with data of a size.
func entries(first, n, term uint64, size int) (es []*raftpb.Entry) {
	for i := range n {
		es = append(es, entry(first+i, term, strings.Repeat(string(rune('a'+(first+i+term)%26)), size)))
	}
	return es
}

func create(t testing.TB, fs disk.FS, size int64) *Log {
	t.Helper()
	if err := CreateSized(fs, testID, size); err != nil {
		t.Fatal(err)
	}
	l, c := open(t, fs)
	if c.Hard != nil || c.Entries != nil || c.Cut != 0 {
		t.Fatalf("a new log has %v", c)
	}
	return l
}

func open(t testing.TB, fs disk.FS) (*Log, Contents) {
	t.Helper()
	l, c, err := Open(fs, testID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails unless these and no others are in the log.
func wants(t testing.TB, c Contents, hs *raftpb.HardState, es []*raftpb.Entry) {
	t.Helper()
	if !proto.Equal(c.Hard, hs) {
		t.Fatalf("hard state %v, want %v", c.Hard, hs)
	}
	if len(c.Entries) != len(es) {
		t.Fatalf("%d entries, want %d", len(c.Entries), len(es))
	}
	for i, e := range es {
		if !proto.Equal(c.Entries[i], e) {
			t.Fatalf("entry %v, want %v", c.Entries[i], e)
		}
	}
}

func reopen(t testing.TB, fs disk.FS, l *Log) (*Log, Contents) {
	t.Helper()
	must(t, l.Close())
	return open(t, fs)
}

// opened is a directory of the system.
func opened(t testing.TB, path string) disk.FS {
	t.Helper()
	root, err := disk.Open(path)
	must(t, err)
	self, err := root.Open(".")
	must(t, err)
	t.Cleanup(func() { _, _ = root.Close(), self.Close() })
	return disk.Dir(root, self)
}

func TestAppendedIsThereAfterOpen(t *testing.T) {
	for name, fs := range map[string]func() disk.FS{
		"memory": func() disk.FS { return disk.NewMemory() },
		"dir": func() disk.FS {
			return opened(t, t.TempDir()+"/log")
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := fs()
			l := create(t, fs, 4096)
			var all []*raftpb.Entry
			for i := range uint64(50) {
				more := entries(1+3*i, 3, i/10+1, int(i*7))
				must(t, l.Append(hardState(i/10+1, i%2, i), more))
				all = append(all, more...)
				if i%10 == 9 {
					var c Contents
					l, c = reopen(t, fs, l)
					wants(t, c, hardState(i/10+1, i%2, i), all)
				}
			}
			must(t, l.Append(nil, []*raftpb.Entry{entry(100, 9, "")}))
			must(t, l.Append(hardState(9, 0, 99), nil))
			l, c := reopen(t, fs, l)
			wants(t, c, hardState(9, 0, 99), append(all[:99:99], entry(100, 9, "")))
			must(t, l.Append(nil, nil))
		})
	}
}

func TestCompactRemovesSegments(t *testing.T) {
	fs := disk.NewMemory()
	l := create(t, fs, 4096)
	var all []*raftpb.Entry
	for i := range uint64(40) {
		all = append(all, entries(i+1, 1, 1, 900)...)
		must(t, l.Append(hardState(1, 2, i), all[i:]))
	}
	must(t, l.Compact(20))
	l, c := reopen(t, fs, l)
	first := c.Entries[0].GetIndex()
	if first < 15 || first > 21 {
		t.Fatalf("kept from %d on", first)
	}
	wants(t, c, hardState(1, 2, 39), all[first-1:])
	must(t, l.Compact(1000))
	l, c = reopen(t, fs, l)
	if len(c.Entries) == 0 || len(c.Entries) > 7 {
		t.Fatalf("kept %d", len(c.Entries))
	}
	wants(t, c, hardState(1, 2, 39), all[40-len(c.Entries):])
	if names, _ := fs.List(); len(names) != 1 {
		t.Fatal(names)
	}
	if err := l.Append(nil, entries(42, 1, 1, 1)); err == nil || errors.Is(err, ErrFailed) {
		t.Fatalf("a gap: %v", err)
	}
}

func TestRestartReplacesAll(t *testing.T) {
	fs := disk.NewMemory()
	l := create(t, fs, 4096)
	for i := range uint64(40) {
		must(t, l.Append(nil, entries(i+1, 1, 1, 900)))
	}
	must(t, l.Restart(hardState(4, 0, 25), 25))
	l, c := reopen(t, fs, l)
	wants(t, c, hardState(4, 0, 25), nil)
	if c.Start != 25 {
		t.Fatal(c.Start)
	}
	must(t, l.Compact(25))
	if names, _ := fs.List(); len(names) != 1 {
		t.Fatal(names)
	}
	must(t, l.Append(nil, entries(26, 2, 4, 9)))
	_, c = reopen(t, fs, l)
	wants(t, c, hardState(4, 0, 25), entries(26, 2, 4, 9))
}

func TestFrameLargerThanSegment(t *testing.T) {
	fs := disk.NewMemory()
	l := create(t, fs, 1024)
	var all []*raftpb.Entry
	for i, size := range []int{100, 5000, 100, 100, 20000, 3000, 100} {
		if i%2 == 0 {
			must(t, l.Prepare())
		}
		all = append(all, entries(uint64(i)+1, 1, 1, size)...)
		must(t, l.Append(nil, all[i:]))
		var c Contents
		l, c = reopen(t, fs, l)
		wants(t, c, nil, all)
	}
}

func TestPrepareWhileAppending(t *testing.T) {
	l := create(t, disk.NewMemory(), 2048)
	done := make(chan error)
	go func() {
		for range 500 {
			if err := l.Prepare(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range uint64(500) {
		must(t, l.Append(nil, entries(i+1, 1, 1, 400)))
	}
	must(t, <-done)
}

func TestAnErrorIsFinal(t *testing.T) {
	for _, op := range []disk.Op{disk.OpWrite, disk.OpSync, disk.OpCreate, disk.OpRename, disk.OpSyncDir} {
		t.Run(op.String(), func(t *testing.T) {
			fs := disk.NewMemory()
			l := create(t, fs, 1024)
			must(t, l.Append(nil, entries(1, 1, 1, 300)))
			fs.Hook(disk.FailNth(op, 1, syscall.EIO))
			err := l.Append(nil, entries(2, 1, 1, 300))
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			for _, again := range []error{l.Append(nil, entries(2, 1, 1, 3)), l.Append(nil, nil), l.Restart(nil, 7), l.Compact(1), l.Prepare(), l.Err()} {
				if !errors.Is(again, err) {
					t.Fatal(again)
				}
			}
		})
	}
}

// When there is no room for another segment nothing has changed, and the same is tried again.
func TestFullDisk(t *testing.T) {
	fs := disk.NewMemory()
	l := create(t, fs, 1024)
	must(t, l.Append(nil, entries(1, 1, 1, 10)))
	fs.Limit(1500)
	if err := l.Prepare(); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, disk.ErrScarce) {
		t.Fatal(err)
	}
	for range 3 {
		err := l.Append(nil, entries(2, 1, 1, 10))
		if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, disk.ErrScarce) || !strings.Contains(err.Error(), "make room") {
			t.Fatal(err)
		}
		must(t, l.Err())
	}
	fs.Limit(0)
	must(t, l.Append(nil, entries(2, 1, 1, 10)))
	_, c := reopen(t, fs, l)
	wants(t, c, nil, append(entries(1, 1, 1, 10), entries(2, 1, 1, 10)...))
}

// So it is for want of file descriptors, wherever one is needed: for the new file, or for the same
// under its name.
func TestNoDescriptors(t *testing.T) {
	for _, op := range []disk.Op{disk.OpList, disk.OpCreate, disk.OpOpen} {
		fs := disk.NewMemory()
		l := create(t, fs, 1024)
		must(t, l.Append(nil, entries(1, 1, 1, 300)))
		fs.Hook(disk.FailNth(op, 1, disk.Scarce(syscall.EMFILE)))
		if err := l.Append(nil, entries(2, 1, 1, 300)); !errors.Is(err, disk.ErrScarce) {
			t.Fatalf("%v: %v", op, err)
		}
		must(t, l.Append(nil, entries(2, 1, 1, 300)))
		_, c := reopen(t, fs, l)
		wants(t, c, nil, append(entries(1, 1, 1, 300), entries(2, 1, 1, 300)...))
	}
	// What was there before is another matter.
	for _, op := range []disk.Op{disk.OpWrite, disk.OpSync} {
		fs := disk.NewMemory()
		l := create(t, fs, 4096)
		fs.Hook(disk.FailNth(op, 1, syscall.ENOSPC))
		if err := l.Append(nil, entries(1, 1, 1, 300)); !errors.Is(err, ErrFailed) || errors.Is(err, disk.ErrScarce) {
			t.Fatalf("%v: %v", op, err)
		}
	}
}

// Nothing is said to be written into a directory that is another's.
func TestLostDirectory(t *testing.T) {
	path := t.TempDir() + "/log"
	fs := opened(t, path)
	l := create(t, fs, 4096)
	must(t, l.Append(nil, entries(1, 1, 1, 10)))
	must(t, os.Rename(path, path+".old"))
	must(t, os.Mkdir(path, 0o700))
	time.Sleep(recent)
	if err := l.Append(nil, entries(2, 1, 1, 10)); !errors.Is(err, disk.ErrLost) || errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	if err := l.Prepare(); !errors.Is(err, disk.ErrLost) {
		t.Fatal(err)
	}
	found, err := os.ReadDir(path)
	if err != nil || len(found) > 0 {
		t.Errorf("in the other directory: %v, %v", found, err)
	}
}

func TestRefusals(t *testing.T) {
	fs := disk.NewMemory()
	l := create(t, fs, 1024)
	for i := range uint64(5) {
		must(t, l.Append(nil, entries(i+1, 1, 1, 400)))
	}
	must(t, l.Close())
	refuse := func(fs disk.FS, id Identity, want error, words string) {
		t.Helper()
		_, _, err := Open(fs, id)
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %v with %q", err, want, words)
		}
	}
	refuse(fs, Identity{"d", 1, "a"}, ErrForeign, `of the cluster "c", and this is a member of "d"`)
	refuse(fs, Identity{"c", 2, "b"}, ErrForeign, "a directory of its own")
	refuse(disk.NewMemory(), testID, nil, "there is no log")
	if _, _, err := Open(fs, Identity{"c", 1, "renamed"}); err != nil {
		t.Error(err)
	}
	for _, i := range []uint64{2, 3, 4} {
		c := fs.Clone()
		must(t, c.Remove(segmentName(i)))
		refuse(c, testID, ErrDamaged, segmentName(i))
	}
	if err := CreateSized(fs, testID, 1024); err == nil {
		t.Error("made a log twice")
	}
	for _, id := range []Identity{{"", 1, ""}, {"c", 0, ""}, {strings.Repeat("c", 300), 1, strings.Repeat("d", 300)}} {
		if err := Create(disk.NewMemory(), id); err == nil {
			t.Error(fmt.Sprint(id))
		}
	}
}

func TestTags(t *testing.T) {
	near := map[uint32]uint64{}
	for number := range uint64(100_000) {
		tag := tagOf(number)
		for rest, i := tag, 0; i < tagSize; rest, i = rest>>8, i+1 {
			if rest&0xff == 0 {
				t.Fatalf("%d: %08x has a byte that is zero", number, tag)
			}
		}
		if other, ok := near[tag]; ok {
			t.Fatalf("%d and %d have the tag %08x", other, number, tag)
		}
		near[tag] = number
	}
}
