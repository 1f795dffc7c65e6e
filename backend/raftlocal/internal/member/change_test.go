package member

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

func joiner(name string) statemachine.Member {
	return statemachine.Member{ID: ID("test", name), Name: name, Addr: name + ":7300"}
}

func join(c *Config) { c.Join = true; small(c) }

func (net *network) change(c Change) {
	net.t.Helper()
	l := net.leader()
	if err := l.m.Change(c); err != nil {
		net.t.Fatal(err)
	}
	net.until("the change is done", func() bool { return l.m.Status().Change == "" })
}

func voters(n *node) (names string) {
	for _, m := range n.m.Status().Members {
		if m.Voter {
			names += m.Name
		}
	}
	return names
}

func sortLetters(s string) string {
	out := ""
	for c := 'a'; c <= 'z'; c++ {
		if strings.ContainsRune(s, c) {
			out += string(c)
		}
	}
	return out
}

func TestAddMembers(t *testing.T) {
	net := newNetwork(t, 1, small)
	p := net.open(net.leader())
	for i := range 50 {
		p.want(acquire(key(i), "p", time.Hour), command.Granted)
	}
	net.add("b", join)
	net.add("c", join)
	net.change(Change{Add: []statemachine.Member{joiner("b"), joiner("c")}})
	net.same()
	for _, n := range net.nodes {
		if got := sortLetters(voters(n)); got != "abc" {
			t.Errorf("%s knows %s", n.cfg.Name, got)
		}
		if got := n.m.state.member(ID("test", "c")); got.Addr != "c:7300" {
			t.Errorf("%s knows %+v", n.cfg.Name, got)
		}
	}
	// They serve when the first is gone, and after a restart.
	net.nodes[0].kill()
	net.nodes[1].restart()
	net.nodes[2].restart()
	q := net.open(net.leader())
	q.want(tryLock(key(7), "q", time.Hour), command.Held)
	q.want(tryLock("new", "q", time.Hour), command.Granted)
}

func TestReplaceMember(t *testing.T) {
	net := newNetwork(t, 3, small)
	l := net.leader()
	p := net.open(l)
	p.want(acquire("k", "p", time.Hour), command.Granted)
	dead := net.others(l)[0]
	dead.kill()
	net.pass(time.Second)
	net.add("d", join)
	net.change(Change{Add: []statemachine.Member{joiner("d")}, Remove: []uint64{dead.id()}})
	if got := voters(l); strings.Contains(got, dead.cfg.Name) || !strings.Contains(got, "d") || len(got) != 3 {
		t.Errorf("voters %s", got)
	}
	p.want(release("k", "p"), command.OK)
	net.same()
}

// Whoever is removed hears of it and stops; the others go on, even without their leader.
func TestRemoveMember(t *testing.T) {
	for _, leader := range []bool{false, true} {
		net := newNetwork(t, 3)
		l := net.leader()
		p := net.open(l)
		p.want(acquire("k", "p", time.Hour), command.Granted)
		removed := net.others(l)[0]
		if leader {
			removed = l
		}
		if err := l.m.Change(Change{Remove: []uint64{removed.id()}}); err != nil {
			t.Fatal(err)
		}
		net.settle() // with no heartbeat that would tell of it by chance
		net.until("it stops", func() bool { return removed.m.consensus.err != nil })
		if !errors.Is(removed.m.consensus.err, ErrRemoved) || !errors.Is(removed.m.Flush(net.now), ErrRemoved) {
			t.Error(removed.m.consensus.err)
		}
		if leader != p.gone {
			t.Errorf("the client is gone: %v", p.gone)
		}
		q := net.open(net.leader())
		q.want(tryLock("k", "q", time.Hour), command.Held)
		if got := voters(net.leader()); len(got) != 2 || strings.Contains(got, removed.cfg.Name) {
			t.Errorf("voters %s", got)
		}
		// It knows after a restart, too.
		removed.restart()
		net.settle()
		if !errors.Is(removed.m.consensus.err, ErrRemoved) {
			// Its log may not say that the entry is committed; then it may campaign in vain.
			net.pass(5 * time.Second)
			q.want(tryLock("k", "q", time.Hour), command.Held)
		}
	}
}

func TestChangeIsRefused(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	others := net.others(l)
	refused := func(want string, c Change) {
		t.Helper()
		if err := l.m.Change(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	refused("nothing to change", Change{})
	refused("is no member", Change{Remove: []uint64{7}})
	refused("a member already", Change{Add: []statemachine.Member{joiner("a")}})
	refused("are named", Change{Add: []statemachine.Member{{ID: 7, Name: "a"}}})
	refused("same address", Change{Add: []statemachine.Member{{ID: 7, Name: "z", Addr: "a:7300"}}})
	refused("nobody would be left", Change{Remove: []uint64{l.id(), others[0].id(), others[1].id()}})
	if err := others[0].m.Change(Change{Remove: []uint64{l.id()}}); !errors.Is(err, ErrNotLeader) {
		t.Error(err)
	}
	others[0].kill()
	net.pass(time.Second)
	refused("no majority", Change{Remove: []uint64{others[1].id()}})
	// A learner that never comes holds no majority up, but the change.
	if err := l.m.Change(Change{Add: []statemachine.Member{joiner("d")}}); err != nil {
		t.Fatal(err)
	}
	net.pass(5 * time.Second)
	if got := l.m.Status().Change; got != "learners read up" {
		t.Errorf("stage %q", got)
	}
	if err := l.m.Change(Change{Remove: []uint64{others[0].id()}}); !errors.Is(err, ErrChanging) {
		t.Error(err)
	}
	l.m.Abandon()
	net.change(Change{Remove: []uint64{ID("test", "d")}})
	if n := len(l.m.Members()); n != 3 {
		t.Errorf("%d members", n)
	}
	refused("cannot come back", Change{Add: []statemachine.Member{joiner("d")}})
}

// A change that a leader could not finish can be asked of the next.
func TestChangeSurvivesElection(t *testing.T) {
	net := newNetwork(t, 3, small)
	l := net.leader()
	net.add("d", join).cut = true
	c := Change{Add: []statemachine.Member{joiner("d")}, Remove: []uint64{l.id()}}
	if err := l.m.Change(c); err != nil {
		t.Fatal(err)
	}
	net.pass(time.Second)
	l.kill()
	net.node(ID("test", "d")).cut = false
	net.change(c)
	if got := voters(net.leader()); len(got) != 3 || strings.Contains(got, l.cfg.Name) {
		t.Errorf("voters %s", got)
	}
	net.same()
}

func TestTransfer(t *testing.T) {
	for _, named := range []bool{false, true} {
		net := newNetwork(t, 3)
		l := net.leader()
		p := net.open(l)
		p.want(acquire("k", "p", time.Minute), command.Granted)
		to := uint64(0)
		if named {
			to = net.others(l)[1].id()
		}
		begin := net.now
		if err := l.m.Transfer(to); err != nil {
			t.Fatal(err)
		}
		p.send(release("k", "p"))
		next := net.leader()
		for next == l {
			net.pass(tick)
			next = net.leader()
		}
		if named && next.id() != to {
			t.Errorf("%s leads", next.cfg.Name)
		}
		if took := net.now - begin; took > 2*tick {
			t.Errorf("it took %v", took)
		}
		if !p.gone || p.to.ID != next.id() {
			t.Errorf("gone: %v, to %+v", p.gone, p.to)
		}
		again := net.dial(next, p.session)
		again.seq = 1
		again.want(release("k", "p"), command.OK)
		if err := l.m.Transfer(0); !errors.Is(err, ErrNotLeader) {
			t.Error(err)
		}
	}
}

// Commands wait while leadership moves, and go on if it does not.
func TestTransferInVain(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	to := net.others(l)[0]
	if err := l.m.Transfer(to.id()); err != nil {
		t.Fatal(err)
	}
	to.cut = true
	if r, ok := p.try(acquire("k", "p", time.Minute)); ok {
		t.Errorf("answered: %+v", r)
	}
	net.until("it is given up", func() bool { _, ok := p.reply(1); return ok })
	if r, _ := p.reply(1); r.Code != command.Granted || p.gone {
		t.Errorf("%+v", r)
	}
}

func TestTransferToTheDead(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	dead := net.others(l)[0]
	dead.kill()
	net.pass(time.Second)
	if err := l.m.Transfer(dead.id()); err == nil {
		t.Error("accepted")
	}
	if err := l.m.Transfer(7); err == nil {
		t.Error("accepted")
	}
	if err := l.m.Transfer(l.id()); err != nil {
		t.Error(err)
	}
}
