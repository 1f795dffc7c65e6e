package member

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// What was acknowledged is there after a crash, and tokens go on rising.
func TestRestart(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		p := net.open(l)
		first := p.want(acquire("k", "p", time.Hour), command.Granted)
		l.kill()
		if n == 1 {
			l.start()
		}
		next := net.leader()
		if n > 1 && next == l {
			t.Fatal("a dead leader")
		}
		q := net.open(next)
		q.want(tryLock("k", "q", time.Hour), command.Held)
		p = net.dial(next, p.session)
		p.seq = 10
		p.want(release("k", "p"), command.OK)
		if second := q.want(tryLock("k", "q", time.Hour), command.Granted); second.Token <= first.Token {
			t.Errorf("token %d after %d", second.Token, first.Token)
		}
		if n > 1 {
			l.start()
		}
		net.same()
	})
}

// All members crash at once, again and again.
func TestRestartOfAll(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		for i := range 5 {
			p := net.open(net.leader())
			p.want(acquire(key(i), "p", time.Hour), command.Granted)
			for j := range i {
				p.want(tryLock(key(j), "q", time.Hour), command.Held)
			}
			for _, nd := range net.nodes {
				nd.restart()
			}
			net.queue = nil
		}
		net.leader()
		net.same()
	})
}

func small(c *Config) { c.SnapshotEntries, c.KeepEntries = 20, 5 }

func TestSnapshotAndRestart(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n, small)
		l := net.leader()
		p := net.open(l)
		for i := range 100 {
			p.want(acquire(key(i), "p", time.Hour), command.Granted)
		}
		s := l.m.Status()
		if s.SnapshotIndex < 80 || s.LogEntries >= 20 {
			t.Errorf("the last snapshot is of %d, %d entries after it", s.SnapshotIndex, s.LogEntries)
		}
		if first, _ := l.m.storage.FirstIndex(); first < 70 {
			t.Errorf("%d is still in memory", first)
		}
		for _, nd := range net.nodes {
			nd.restart()
		}
		net.queue = nil
		if got := net.leader().m.machine.Stats().Claims; got != 100 {
			t.Errorf("%d claims", got)
		}
		net.same()
	})
}

// A follower that was away for longer than the log goes back gets a snapshot, in whatever state
// its own log is.
func TestSlowFollowerGetsSnapshot(t *testing.T) {
	for _, again := range []bool{false, true} {
		net := newNetwork(t, 3, small)
		l := net.leader()
		p := net.open(l)
		p.want(acquire("first", "p", time.Hour), command.Granted)
		slow := net.others(l)[0]
		slow.kill()
		for i := range 100 {
			p.want(acquire(key(i), "p", time.Hour), command.Granted)
		}
		slow.start()
		net.until("the follower has caught up", func() bool { return slow.m.applied == l.m.applied })
		if slow.m.growth.snapshot < 80 {
			t.Errorf("it has the snapshot of %d", slow.m.growth.snapshot)
		}
		if again {
			slow.restart()
			net.until("the follower has caught up", func() bool { return slow.m.applied == l.m.applied })
		}
		p.want(acquire("last", "p", time.Hour), command.Granted)
		net.same()
	}
}

// A crash at each call of the disk while a snapshot is being installed.
func TestCrashWhileInstalling(t *testing.T) {
	crash := errors.New("crash")
	done := false
	for nth := 1; !done; nth++ {
		net := newNetwork(t, 3, small)
		l := net.leader()
		p := net.open(l)
		slow := net.others(l)[0]
		slow.kill()
		for i := range 100 {
			p.want(acquire(key(i), "p", time.Hour), command.Granted)
		}
		slow.start()
		calls := 0
		slow.disk.Hook(func(disk.Call) (time.Duration, error) {
			if calls++; calls == nth {
				return 0, crash
			}
			return 0, nil
		})
		net.until("the follower has caught up, or crashed", func() bool { return slow.m.applied == l.m.applied || slow.m.err != nil })
		if done = slow.m.err == nil; !done && !errors.Is(slow.m.err, crash) {
			t.Fatal(slow.m.err)
		}
		slow.disk.Hook(slow.count)
		slow.restart()
		net.until("the follower has caught up", func() bool { return slow.m.applied == l.m.applied })
		p.want(acquire("last", "p", time.Hour), command.Granted)
		net.same()
		if nth > 200 {
			t.Fatal("it never ends")
		}
	}
}

// An error of the disk ends the member, and nothing that was not synced is acknowledged.
func TestSyncErrorIsFatal(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		p := net.open(l)
		broken := errors.New("input/output error")
		l.disk.Hook(disk.FailNth(disk.OpSync, 1, broken))
		if r, ok := p.try(acquire("k", "p", time.Hour)); ok && n == 1 {
			t.Fatalf("acknowledged: %+v", r)
		}
		if !errors.Is(l.m.Err(), broken) || !errors.Is(l.m.Flush(net.now), broken) || !errors.Is(l.m.Change(Change{}), broken) {
			t.Errorf("the member goes on: %v", l.m.Err())
		}
		if !p.gone {
			t.Error("the client was not dismissed")
		}
		if n == 1 {
			l.restart()
		}
		q := net.open(net.leader())
		q.try(tryLock("other", "q", time.Hour))
	})
}

func TestOpenRefuses(t *testing.T) {
	open := func(change func(*Config)) error {
		n := &node{disk: disk.NewMemory()}
		c := Config{Name: "a", Cluster: "test", FS: n.disk, Outside: n, Members: founders(3)}
		change(&c)
		m, err := Open(c)
		if m != nil {
			_ = m.Close()
		}
		return err
	}
	for want, change := range map[string]func(*Config){
		"begin with 3 or 5": func(c *Config) { c.Members = founders(4) },
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
		c.Members = founders(1)
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
		if _, err := Open(n.cfg); err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("without %s: %v", suffix, err)
		}
	}
}

// A crash at each call of the disk while a cluster is being founded leaves a directory that can
// be opened.
func TestCrashWhileFounding(t *testing.T) {
	crash := errors.New("crash")
	for nth := 1; ; nth++ {
		n := &node{disk: disk.NewMemory()}
		n.cfg = Config{Name: "a", Cluster: "test", FS: n.disk, Outside: n, Members: founders(1)}
		n.net = &network{t: t, clients: map[Conn]*peer{}}
		n.disk.Hook(disk.FailNth(0, nth, crash))
		m, err := Open(n.cfg)
		n.disk.Hook(nil)
		if err == nil {
			_ = m.Close()
			return
		}
		if !errors.Is(err, crash) {
			t.Fatal(err)
		}
		n.disk.CrashKeeping(func(int) bool { return nth%2 == 0 })
		if m, err = Open(n.cfg); err != nil {
			t.Fatalf("after a crash at call %d: %v", nth, err)
		}
		_ = m.Close()
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
		if _, err := m.continued(log); err == nil || !strings.Contains(err.Error(), "entries 2 to 8 are missing") {
			t.Errorf("%v", err)
		}
	}
	if got, err := m.continued(wal.Contents{Entries: []*raftpb.Entry{entry(1), entry(2), entry(3)}}); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

// A cluster that begins with a backup has its locks, and tokens above all that may have been
// granted since.
func TestBackup(t *testing.T) {
	net := newNetwork(t, 3)
	p := net.open(net.leader())
	p.want(acquire("k", "p", time.Hour), command.Granted)
	state := net.leader().m.Backup()
	base := p.want(acquire("later", "p", time.Hour), command.Granted).Token + 1000

	net = newNetwork(t, 3, func(c *Config) { c.State, c.TokenBase = state, base })
	q := net.open(net.leader())
	q.want(tryLock("k", "q", time.Hour), command.Held)
	if got := q.want(acquire("later", "q", time.Hour), command.Granted).Token; got <= base {
		t.Errorf("token %d, not above %d", got, base)
	}
	net.same()
}
