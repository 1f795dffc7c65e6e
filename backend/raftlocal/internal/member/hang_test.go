package member

import (
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// A leader whose disk hangs, or whose process is stopped, is replaced. When it comes back,
// with all that its clients have sent meanwhile, it acknowledges nothing and answers nothing.
func TestHang(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q := net.open(l), net.open(l)
	p.want(acquire("k", "p", 10*time.Second), command.Granted)
	l.stopped = true
	p.send(release("k", "p"))
	p.send(acquire("other", "p", time.Minute))
	q.send(inspect("k"), tryLock("k", "q", time.Minute))
	next := net.leader()
	r := net.open(next)
	r.want(acquire("k", "r", time.Hour), command.Waiting)
	net.pass(20 * time.Second)
	if len(r.pushes) != 1 || r.pushes[0].Claim.Code != command.Granted {
		t.Fatalf("%+v", r.pushes)
	}
	l.stopped = false
	// It wakes with what came in, before any tick and before it hears of anybody.
	if err := l.m.Flush(net.now); err != nil {
		t.Fatal(err)
	}
	net.settle()
	net.pass(2 * tick)
	if l.m.consensus.leading || !p.gone || !q.gone || p.to.ID != next.id() && p.to.ID != 0 {
		t.Errorf("leading: %v, gone: %v, %v, to %+v", l.m.consensus.leading, p.gone, q.gone, p.to)
	}
	if len(p.answers) != 2 || len(q.answers) != 1 {
		t.Errorf("answered: %+v, %+v", p.answers[1:], q.answers[1:])
	}
	net.same()
	if s := next.m.state.machine.Inspect("k"); s.AttemptID != "r" {
		t.Errorf("%+v", s)
	}
}

// A leader that slept for so long that its followers are about to give up does not count its
// sleep, so their answer finds the lease as it was.
func TestShortHang(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	p.want(acquire("k", "p", time.Second), command.Granted)
	net.pass(800 * time.Millisecond)
	net.now += 400 * time.Millisecond
	net.settle()
	if p.expired() {
		t.Error("expired while nobody could renew")
	}
	net.pass(300 * time.Millisecond)
	if !p.expired() {
		t.Error("never expired")
	}
}

// A member that has lost what it had promised ends as soon as its leader speaks to it.
func TestLostDisk(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	net.pass(2 * tick)
	f := net.others(l)[0]
	f.kill()
	f.disk = disk.NewMemory()
	f.cfg.FS = f.disk
	f.start()
	net.pass(time.Second)
	if err := f.m.consensus.err; err == nil || !strings.Contains(err.Error(), "contradiction") {
		t.Error(err)
	}
	if err := f.m.Flush(net.now); err == nil {
		t.Error("it goes on")
	}
	p.want(release("k", "p"), command.OK)
}

// What no peer has to say is ignored: above all proposals, which would have no stamp.
func TestNonsenseIsIgnored(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	from := net.others(l)[0].id()
	last := l.m.Status().Last
	for kind := range raftpb.MessageType_name {
		switch raftpb.MessageType(kind) {
		case raftpb.MsgProp, raftpb.MsgReadIndex, raftpb.MsgReadIndexResp, raftpb.MsgTransferLeader, raftpb.MsgForgetLeader,
			raftpb.MsgHup, raftpb.MsgBeat, raftpb.MsgUnreachable, raftpb.MsgSnapStatus, raftpb.MsgCheckQuorum,
			raftpb.MsgStorageAppend, raftpb.MsgStorageAppendResp, raftpb.MsgStorageApply, raftpb.MsgStorageApplyResp:
		default:
			continue
		}
		for _, f := range []uint64{from, l.id(), 0, 7, ^uint64(0), ^uint64(0) - 1} {
			l.m.Receive(&raftpb.Message{
				Type: raftpb.MessageType(kind).Enum(), From: new(f), To: new(l.id()),
				Entries: []*raftpb.Entry{{Data: []byte("x")}},
			})
		}
	}
	net.settle()
	if s := l.m.Status(); s.Last != last || !s.Serving || s.Err != nil {
		t.Errorf("%+v", s)
	}
}

// What was written before a crash and not committed is neither lost nor made up: the cluster
// decides, and all agree.
func TestUncommittedEntries(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	l.cut = true
	p.send(acquire("k", "p", time.Hour))
	net.settle() // it is in the log of the leader only
	next := net.leader()
	q := net.open(next)
	q.want(acquire("k", "q", time.Hour), command.Granted)
	l.cut = false
	l.restart()
	net.same()
	if s := l.m.state.machine.Inspect("k"); s.AttemptID != "q" {
		t.Errorf("%+v", s)
	}
	// The client sends it again, and gets its answer for the first time.
	again := net.dial(next, p.session)
	again.want(acquire("k", "p", time.Hour), command.Waiting)
}
