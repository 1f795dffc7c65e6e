package member

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
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
		if first, _ := l.m.store.storage.FirstIndex(); first < 70 {
			t.Errorf("%d is still in memory", first)
		}
		for _, nd := range net.nodes {
			nd.restart()
		}
		net.queue = nil
		if got := net.leader().m.state.machine.Stats().Claims; got != 100 {
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
		net.until("the follower has caught up", func() bool { return slow.m.state.applied == l.m.state.applied })
		if slow.m.store.growth.snapshot < 80 {
			t.Errorf("it has the snapshot of %d", slow.m.store.growth.snapshot)
		}
		if again {
			slow.restart()
			net.until("the follower has caught up", func() bool { return slow.m.state.applied == l.m.state.applied })
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
		net.until("the follower has caught up, or crashed", func() bool { return slow.m.state.applied == l.m.state.applied || slow.m.consensus.err != nil })
		if done = slow.m.consensus.err == nil; !done && !errors.Is(slow.m.consensus.err, crash) {
			t.Fatal(slow.m.consensus.err)
		}
		slow.disk.Hook(slow.count)
		slow.restart()
		net.until("the follower has caught up", func() bool { return slow.m.state.applied == l.m.state.applied })
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
		if !errors.Is(l.m.consensus.err, broken) || !errors.Is(l.m.Flush(net.now), broken) || !errors.Is(l.m.Change(Change{}), broken) {
			t.Errorf("the member goes on: %v", l.m.consensus.err)
		}
		if !p.gone {
			t.Error("the client was not redirected")
		}
		if n == 1 {
			l.restart()
		}
		q := net.open(net.leader())
		q.try(tryLock("other", "q", time.Hour))
	})
}

// A crash at each call of the disk while a cluster is being founded leaves a directory that can
// be opened.
func TestCrashWhileFounding(t *testing.T) {
	crash := errors.New("crash")
	for nth := 1; ; nth++ {
		n := &node{disk: disk.NewMemory()}
		n.cfg = Config{Name: "a", Cluster: "test", FS: n.disk, Callbacks: n, Members: initialMembers(1), SegmentBytes: 1 << 16}
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

// A cluster that begins with nothing may be in the place of another: its tokens, and the numbers of
// its claims, are above what that one can have given.
func TestTokenBase(t *testing.T) {
	const base = 1 << 40
	net := newNetwork(t, 3, func(c *Config) { c.TokenBase = base })
	p := net.open(net.leader())
	if got := p.want(acquire("k", "p", time.Hour), command.Granted); got.Token <= base || got.Number <= base {
		t.Errorf("token %d, number %d, not above %d", got.Token, got.Number, uint64(base))
	}
	net.same()
}

// A vote is on the disk before anybody hears of it.
func TestVoteIsKept(t *testing.T) {
	net := newNetwork(t, 3)
	net.lost = func(m *raftpb.Message) bool { return m.GetType() == raftpb.MsgApp }
	var l *node
	net.until("a leader", func() bool {
		for _, n := range net.nodes {
			if n.m.consensus.leading {
				l = n
			}
		}
		return l != nil
	})
	for _, n := range net.others(l) {
		term := n.m.consensus.hard.GetTerm()
		n.restart()
		if n.m.consensus.hard.GetTerm() != term || n.m.consensus.hard.GetVote() != l.id() {
			t.Errorf("%s: term %d, vote %x", n.cfg.Name, n.m.consensus.hard.GetTerm(), n.m.consensus.hard.GetVote())
		}
	}
}

// A follower that learns at once of entries and that they are committed applies them when they
// are on its own disk.
func TestFollowerAppliesWhatItHas(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	f := net.others(l)[0]
	f.cut = true
	p.want(acquire("k", "p", time.Minute), command.Granted)
	net.pass(2 * tick)
	f.cut = false
	f.disk.Hook(disk.FailNth(disk.OpSync, 1, errors.New("broken")))
	net.until("it ends", func() bool { return f.m.consensus.err != nil })
	if s := f.m.state.machine.Inspect("k"); s.Held {
		t.Errorf("%+v", s)
	}
}
