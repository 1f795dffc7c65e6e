package member

import (
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

func TestOpenRefuses(t *testing.T) {
	open := func(change func(*Config)) error {
		n := &node{disk: disk.NewMemory()}
		c := Config{Name: "a", Cluster: "test", FS: n.disk, Callbacks: n, Members: initialMembers(3), SegmentBytes: 1 << 16}
		change(&c)
		m, err := Open(c)
		if m != nil {
			_ = m.Close()
		}
		return err
	}
	for want, change := range map[string]func(*Config){
		"begin with 3 or 5": func(c *Config) { c.Members = initialMembers(4) },
		"name the members":  func(c *Config) { c.Members = nil },
		"not in the list":   func(c *Config) { c.Name = "z" },
		"two members":       func(c *Config) { c.Members[1].Name = "c" },
		"same address":      func(c *Config) { c.Members[1].Addr = "c:7300" },
		"same id":           func(c *Config) { c.Members[1].ID = c.Members[2].ID },
		"has the id":        func(c *Config) { c.ID = 7 },
		"reserved":          func(c *Config) { c.ID = ^uint64(0) },
		"no name":           func(c *Config) { c.Members[1].Name = "" },
	} {
		if err := open(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := open(func(*Config) {}); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesForeignDirectory(t *testing.T) {
	net := newNetwork(t, 1)
	n := net.nodes[0]
	n.kill()
	for _, change := range []func(*Config){
		func(c *Config) { c.Cluster = "another"; c.Members[0].ID = ID("another", "a") },
		func(c *Config) { c.Name = "b" },
	} {
		c := n.cfg
		c.Members = initialMembers(1)
		change(&c)
		if _, err := Open(c); err == nil {
			t.Error("opened the directory of another")
		}
	}
}

// A directory of which a part is gone is refused: the member would have forgotten something.
func TestOpenRefusesIncompleteDirectory(t *testing.T) {
	for _, suffix := range []string{".snapshot", ".log"} {
		net := newNetwork(t, 1)
		p := net.open(net.leader())
		p.want(acquire("k", "p", time.Hour), command.Granted)
		n := net.nodes[0]
		n.kill()
		files, err := n.disk.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, suffix) {
				if err := n.disk.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := Open(n.cfg); err == nil || !strings.Contains(err.Error(), disk.Cure) {
			t.Errorf("without %s: %v", suffix, err)
		}
	}
}

// A log that begins too late after the snapshot has lost something.
func TestOpenRefusesGap(t *testing.T) {
	net := newNetwork(t, 1)
	m := net.nodes[0].m
	entry := func(index uint64) *raftpb.Entry { return &raftpb.Entry{Index: new(index), Term: new(uint64(1))} }
	for _, log := range []wal.Contents{
		{Entries: []*raftpb.Entry{entry(9), entry(10)}},
		{Start: 8},
	} {
		if _, err := m.store.continued(log, m.consensus.hard); err == nil || !strings.Contains(err.Error(), "entries 2 to 8 are missing") {
			t.Errorf("%v", err)
		}
	}
	all := []*raftpb.Entry{entry(1), entry(2), entry(3)}
	if got, err := m.store.continued(wal.Contents{Entries: all}, m.consensus.hard); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	// A log that has another entry where the snapshot was taken does not go on from it.
	m.state.applied, m.state.appliedTerm = 2, 5
	if got, err := m.store.continued(wal.Contents{Entries: all}, m.consensus.hard); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
