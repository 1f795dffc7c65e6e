package statemachine

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// states are some, as bytes.
func states(t testing.TB) (all [][]byte) {
	t.Helper()
	all = append(all, New(nil).Snapshot(), New([]Member{{ID: 2, Name: "b", Addr: "b:1"}, {ID: 1}}).Snapshot())
	for seed := range uint64(6) {
		s, m := newScript(seed), New(nil)
		for range 40 {
			index, b := s.entry()
			s.heard(m.Apply(index, b).Answers)
		}
		all = append(all, m.Snapshot())
	}
	return all
}

// All of it is in the snapshot: what is left of each deadline, queues in order, sessions,
// tokens and members.
func TestSnapshotHasAll(t *testing.T) {
	l := newLog(t)
	l.m.ApplyMembers(1, []Member{{ID: 3, Name: "c", Addr: "c:1"}, {ID: 1, Name: "a", Addr: "a:1"}})
	s := l.open(time.Hour)
	a := l.do(s, acquire("k", "a"))
	l.clock = 2 * time.Second
	b, c := l.do(s, acquire("k", "b")), l.do(s, acquire("k", "c"))
	l.clock = 4 * time.Second
	once := l.numbered(s, acquire("l", "d"))
	d := l.write(once)[0].Reply
	l.restore()
	if got := l.m.Members(); len(got) != 2 || got[0] != (Member{ID: 1, Name: "a", Addr: "a:1"}) || got[1].ID != 3 {
		t.Errorf("%+v", got)
	}
	if got := l.m.Inspect("k"); got.Left != 6*time.Second || got.AttemptID != "a" || got.Token != a.Token || got.Waiters != 2 {
		t.Errorf("%+v", got)
	}
	if again := l.write(once)[0].Reply; !same(again, d) {
		t.Errorf("%+v, want %+v", again, d)
	}
	l.at(ttl)
	l.wantPushes(pushed(s, command.Expired, a, a.Token), pushed(s, command.Granted, b, l.index))
	l.at(2*time.Second + ttl)
	l.wantPushes(pushed(s, command.Expired, c, 0))
}

func TestOtherFormatIsRefused(t *testing.T) {
	data := New(nil).Snapshot()
	data[0]++
	if _, err := Restore(data); err == nil || !strings.Contains(err.Error(), "newest version") {
		t.Error(err)
	}
}

// Each shorter part of a snapshot, and each with something behind it, is refused.
func TestSnapshotIsWhole(t *testing.T) {
	for _, data := range states(t) {
		for n := range data {
			if _, err := Restore(data[:n]); err == nil {
				t.Errorf("%d of %d bytes were taken", n, len(data))
			}
		}
		if _, err := Restore(append(data, 0)); err == nil {
			t.Error("a byte behind was taken")
		}
	}
}

// The machine that a snapshot gives keeps nothing of it.
func TestRestorePointsToNoInput(t *testing.T) {
	for _, data := range states(t) {
		was := bytes.Clone(data)
		m, err := Restore(data)
		if err != nil {
			t.Fatal(err)
		}
		clear(data)
		if !bytes.Equal(m.Snapshot(), was) {
			t.Error("it has changed")
		}
	}
}

// FuzzRestore: no bytes make it panic, those that are taken are the snapshot of what they
// give, and that goes on without harm.
func FuzzRestore(f *testing.F) {
	for _, data := range states(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Restore(data)
		if err != nil {
			return
		}
		if again := m.Snapshot(); !bytes.Equal(again, data) {
			t.Fatalf("%x\nwas taken for\n%x", data, again)
		}
		s := newScript(uint64(len(data)))
		for range 10 {
			index, b := s.entry()
			b.Stamp += m.clock
			s.heard(m.Apply(index, b).Answers)
		}
		again, err := Restore(m.Snapshot())
		if err != nil || !bytes.Equal(again.Snapshot(), m.Snapshot()) {
			t.Fatalf("what it has become cannot be restored: %v", err)
		}
	})
}
