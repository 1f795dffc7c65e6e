package member

import (
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

const tick = 50 * time.Millisecond

// network is a cluster in one thread, in virtual time.
type network struct {
	t       testing.TB
	now     time.Duration
	nodes   []*node
	queue   []*raftpb.Message
	sent    int
	lost    func(m *raftpb.Message) bool // nil: nothing is
	last    Conn
	clients map[Conn]*peer
}

// node is a member and what it stands on.
type node struct {
	net   *network
	cfg   Config
	disk  *disk.Memory
	m     *Member // nil: it is down
	syncs int
	cut   bool // it is cut off
	// stopped: it does nothing, as while its disk hangs; what is sent to it waits.
	stopped bool
	inbox   []*raftpb.Message
}

func names(n int) []string { return []string{"a", "b", "c", "d", "e"}[:n] }

func initialMembers(n int) (all []statemachine.Member) {
	for _, name := range names(n) {
		all = append(all, statemachine.Member{ID: ID("test", name), Name: name, Addr: name + ":7300"})
	}
	return all
}

// newNetwork opens a new cluster.
func newNetwork(t testing.TB, n int, change ...func(*Config)) *network {
	t.Helper()
	if tt, ok := t.(*testing.T); ok {
		cryptotest.SetGlobalRandom(tt, 1)
	}
	net := &network{t: t, clients: map[Conn]*peer{}}
	for _, name := range names(n) {
		net.add(name, append([]func(*Config){func(c *Config) { c.Members = initialMembers(n) }}, change...)...)
	}
	return net
}

func (net *network) add(name string, change ...func(*Config)) *node {
	net.t.Helper()
	n := &node{net: net, disk: disk.NewMemory(), cfg: Config{Name: name, Cluster: "test", SegmentBytes: 1 << 16}}
	n.disk.Hook(n.count)
	n.cfg.FS, n.cfg.Callbacks = n.disk, n
	for _, c := range change {
		c(&n.cfg)
	}
	net.nodes = append(net.nodes, n)
	n.start()
	return n
}

func (n *node) count(c disk.Call) (time.Duration, error) {
	if c.Op == disk.OpSync {
		n.syncs++
	}
	return 0, nil
}

func (n *node) start() {
	n.net.t.Helper()
	m, err := Open(n.cfg)
	if err != nil {
		n.net.t.Fatalf("open %s: %v", n.cfg.Name, err)
	}
	n.m = m
}

// kill ends the process; what was not synced is lost.
func (n *node) kill() {
	n.m = nil
	n.disk.CrashKeeping(func(int) bool { return false })
	for c, p := range n.net.clients {
		if p.at == n {
			p.gone = true
			delete(n.net.clients, c)
		}
	}
}

func (n *node) restart() { n.kill(); n.start() }

func (n *node) id() uint64 { return ID("test", n.cfg.Name) }

func (n *node) Send(m *raftpb.Message) {
	n.net.sent++
	n.net.queue = append(n.net.queue, m)
}

func (n *node) Answer(c Conn, answers []command.Answer, pushes []command.Push) {
	p := n.net.clients[c]
	for _, a := range answers {
		a.Reply.Claims = slices.Clone(a.Reply.Claims)
		p.answers = append(p.answers, a)
	}
	p.pushes = append(p.pushes, pushes...)
}

func (n *node) Redirect(c Conn, leader statemachine.Member) {
	p := n.net.clients[c]
	p.gone, p.to = true, leader
}

// settle lets all that can happen at once happen.
func (net *network) settle() {
	for {
		for _, n := range net.nodes {
			if n.m == nil || n.stopped {
				continue
			}
			for _, m := range n.inbox {
				n.m.Receive(m)
			}
			n.inbox = nil
			_ = n.m.Flush(net.now)
		}
		if len(net.queue) == 0 {
			return
		}
		queue := net.queue
		net.queue = nil
		for _, m := range queue {
			from, to := net.node(m.GetFrom()), net.node(m.GetTo())
			lost := to == nil || to.m == nil || to.cut || from.cut || net.lost != nil && net.lost(m)
			if !lost && to.stopped {
				to.inbox = append(to.inbox, m)
			} else if !lost {
				to.m.Receive(m)
			}
			if m.GetType() == raftpb.MsgSnap && from.m != nil {
				from.m.ReportSnapshot(m.GetTo(), !lost)
			}
		}
	}
}

func (net *network) node(id uint64) *node {
	for _, n := range net.nodes {
		if n.cfg.ID == id || n.cfg.ID == 0 && n.id() == id {
			return n
		}
	}
	return nil
}

// pass lets time pass, tick by tick.
func (net *network) pass(d time.Duration) {
	for end := net.now + d; net.now < end; {
		net.now += tick
		for _, n := range net.nodes {
			if n.m != nil && !n.stopped {
				n.m.Tick()
			}
		}
		net.settle()
	}
}

// until lets time pass until a condition holds.
func (net *network) until(what string, ok func() bool) {
	net.t.Helper()
	for range 400 {
		if ok() {
			return
		}
		net.pass(tick)
	}
	net.t.Fatalf("20 s have passed without: %s", what)
}

// leader waits for one that serves.
func (net *network) leader() *node {
	net.t.Helper()
	var l *node
	net.until("a leader", func() bool {
		for _, n := range net.nodes {
			if n.m != nil && !n.cut && !n.stopped && n.m.consensus.err == nil && n.m.consensus.serving {
				l = n
				return true
			}
		}
		return false
	})
	return l
}

// others are all but one.
func (net *network) others(but *node) (all []*node) {
	for _, n := range net.nodes {
		if n != but {
			all = append(all, n)
		}
	}
	return all
}

// same checks that the members have the same state.
func (net *network) same() {
	net.t.Helper()
	net.pass(2 * tick)
	var want []byte
	for _, n := range net.nodes {
		if n.m == nil || n.m.consensus.err != nil {
			continue
		}
		got := n.m.state.machine.Snapshot()
		if want == nil {
			want = got
		}
		if string(want) != string(got) {
			net.t.Errorf("member %s has another state: applied %d", n.cfg.Name, n.m.state.applied)
		}
	}
}
