package member

import (
	"errors"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

func drawn(t *testing.T, c Config) (id uint64, begun bool) {
	t.Helper()
	id, begun, err := Draw(c)
	if err != nil {
		t.Fatal(err)
	}
	return id, begun
}

// A directory keeps its id, through a crash at once after it was drawn, too; another has another.
func TestDraw(t *testing.T) {
	files := disk.NewMemory()
	c := Config{Name: "a", Cluster: "test", FS: files, SegmentBytes: 1 << 16}
	id, begun := drawn(t, c)
	if begun || !legalID(id) || id == ID("test", "a") {
		t.Errorf("drawn %x, begun %v", id, begun)
	}
	files.CrashKeeping(func(int) bool { return false })
	if again, begun := drawn(t, c); again != id || begun {
		t.Errorf("after a crash %x, begun %v; want %x", again, begun, id)
	}
	other := c
	other.FS = disk.NewMemory()
	if another, _ := drawn(t, other); another == id {
		t.Errorf("two directories are %x", id)
	}
	c.ID, c.Callbacks, c.Members = id, &node{}, []statemachine.Member{{ID: id, Name: "a"}}
	m, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	c.ID = 0
	if again, begun := drawn(t, c); again != id || !begun {
		t.Errorf("once it has begun: %x, %v", again, begun)
	}
	for want, change := range map[string]func(*Config){
		`of the member "a"`:     func(c *Config) { c.Name = "b" },
		`of the cluster "test"`: func(c *Config) { c.Cluster = "other" },
	} {
		foreign := c
		change(&foreign)
		if _, _, err := Draw(foreign); !errors.Is(err, wal.ErrForeign) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What the first release has made and not begun with gets another id: the computed one may be that
// of a directory that was lost, and has voted. What has begun with it keeps it.
func TestDrawAfterFirstRelease(t *testing.T) {
	computed := ID("test", "a")
	files := disk.NewMemory()
	c := Config{Name: "a", Cluster: "test", FS: files, SegmentBytes: 1 << 16}
	if err := wal.CreateSized(files, wal.Identity{Cluster: "test", Member: computed, Name: "a"}, c.SegmentBytes); err != nil {
		t.Fatal(err)
	}
	id, begun := drawn(t, c)
	if begun || id == computed {
		t.Errorf("%x, begun %v", id, begun)
	}
	if owner, err := wal.Owner(files); err != nil || owner.Member != id {
		t.Errorf("the log is of %x, %v; want %x", owner.Member, err, id)
	}
	net := newNetwork(t, 1)
	n := net.nodes[0]
	n.kill()
	if id, begun := drawn(t, n.cfg); id != computed || !begun {
		t.Errorf("a directory in use: %x, begun %v; want %x", id, begun, computed)
	}
}

// A directory that has lost its log is not an empty one.
func TestDrawIncomplete(t *testing.T) {
	net := newNetwork(t, 1)
	n := net.nodes[0]
	n.kill()
	if err := wal.Discard(n.disk); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Draw(n.cfg); err == nil || !strings.Contains(err.Error(), disk.Cure) {
		t.Errorf("%v", err)
	}
}
