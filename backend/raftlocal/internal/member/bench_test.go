package member

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// BenchmarkPairs takes and releases locks, one per caller, with one turn for each command of
// all of them, on disks in memory. It is the time of one core.
func BenchmarkPairs(b *testing.B) { benchmark(b, command.Acquire, command.Release) }

// BenchmarkNops is the floor: the same with commands that do nothing.
func BenchmarkNops(b *testing.B) { benchmark(b, command.Nop, command.Nop) }

func benchmark(b *testing.B, ops ...command.Op) {
	b.Helper()
	for _, members := range []int{1, 3} {
		for _, callers := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("members=%d/callers=%d", members, callers), func(b *testing.B) { benchmarkTurns(b, members, callers, ops) })
		}
	}
}

// silent is an Callbacks that keeps nothing but counts.
type silent struct {
	*node
	answers int
}

func (s *silent) Answer(_ Conn, answers []command.Answer, _ []command.Push) {
	s.answers += len(answers)
}

func benchmarkTurns(b *testing.B, members, callers int, ops []command.Op) {
	b.Helper()
	net := newNetwork(b, members, func(c *Config) { c.SegmentBytes = 16 << 20 })
	l := net.leader()
	p := net.open(l)
	out := &silent{node: l}
	l.m.Clients.out, l.m.cfg.Callbacks = out, out
	cmds := make([]command.Command, callers)
	for i := range cmds {
		cmds[i] = command.Command{Session: p.session, Key: key(i), AttemptID: "0123456789abcdef", TTL: time.Minute, Wait: true}
	}
	seq, turns := uint64(0), 0
	last, syncs, sent := l.m.Status().Last, l.syncs, net.sent
	b.ReportAllocs()
	for b.Loop() {
		op := ops[turns%len(ops)]
		lowest := seq + 1
		for i := range cmds {
			seq++
			cmds[i].Op, cmds[i].Seq, cmds[i].Lowest = op, seq, lowest
		}
		turns++
		l.m.Clients.Submit(p.conn, cmds)
		net.now += time.Millisecond
		net.settle()
		if turns%50 == 0 {
			// Followers hear of what is committed, and compact.
			net.pass(tick)
		}
	}
	if out.answers != int(seq) {
		b.Fatalf("%d answers to %d commands", out.answers, seq)
	}
	n := float64(seq)
	b.ReportMetric(n/b.Elapsed().Seconds(), "commands/s")
	b.ReportMetric(float64(l.syncs-syncs)/float64(turns), "syncs/turn")
	b.ReportMetric(float64(net.sent-sent)/float64(turns), "messages/turn")
	b.ReportMetric(float64(l.m.Status().Last-last)/float64(turns), "entries/turn")
	b.ReportMetric(0, "ns/op")
}
