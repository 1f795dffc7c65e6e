package statemachine

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// perCommand reports what one command takes.
func perCommand(b *testing.B, commands int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(commands), "ns/command")
}

// BenchmarkApply takes 64 locks and gives them back, in one entry, of 4 sessions, while so many
// others are held.
func BenchmarkApply(b *testing.B) {
	for _, others := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			m := New(nil)
			hold(m, others, ordinary)
			batch, next := pairs(m, 64, func(i int) string { return fmt.Sprintf("a/key/that/is/free/%d", i) })
			index := uint64(others + 1)
			b.ReportAllocs()
			for b.Loop() {
				index++
				next()
				m.Apply(index, batch)
			}
			perCommand(b, len(batch.Commands))
		})
	}
}

// BenchmarkQueue does it with one key: each release hands off.
func BenchmarkQueue(b *testing.B) {
	m := New(nil)
	batch, next := pairs(m, 64, func(int) string { return "key" })
	index := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		index++
		next()
		m.Apply(index, batch)
	}
	perCommand(b, len(batch.Commands))
}

// pairs is a batch of so many acquires, and then the releases. next numbers them again.
func pairs(m *Machine, n int, key func(int) string) (batch command.Batch, next func()) {
	const clients = 4
	var sessions [clients]uint64
	for i := range sessions {
		out := m.Apply(1, command.Batch{Commands: []command.Command{{Op: command.Open, ID: command.SessionID{2, byte(i)}, TTL: time.Hour}}})
		sessions[i] = out.Answers[0].Reply.Number
	}
	for _, op := range []command.Op{command.Acquire, command.Release} {
		for i := range n {
			batch.Commands = append(batch.Commands, command.Command{
				Op: op, Session: sessions[i%clients], Key: key(i), AttemptID: fmt.Sprintf("0123456789abcdef-%04d", i),
				Meta: "host-17 pid 4711", TTL: 30 * time.Second, Wait: true,
			})
		}
	}
	seq := uint64(0)
	return batch, func() {
		for i := range batch.Commands {
			c := &batch.Commands[i]
			c.Seq = seq + uint64(i/clients) + 1
			c.Lowest = seq + 1
		}
		seq += uint64(len(batch.Commands) / clients)
	}
}

// BenchmarkRenew renews 1,000 of 100,000 locks that are held.
func BenchmarkRenew(b *testing.B) {
	const held, at = 100_000, 1000
	m := New(nil)
	hold(m, held, ordinary)
	numbers := make([]uint64, 0, held)
	for n := range m.locks.claims {
		numbers = append(numbers, n)
	}
	seq, first := uint64(held), 0
	b.ReportAllocs()
	for b.Loop() {
		seq++
		first = (first + at) % held
		m.Apply(seq, command.Batch{Stamp: m.clock + 1e6, Commands: []command.Command{
			{Op: command.Renew, Session: 1, Seq: seq, Lowest: seq, Claims: numbers[first : first+at]},
		}})
	}
	perCommand(b, at)
}

// BenchmarkSnapshot and BenchmarkRestore: 100,000 locks that are held.
func BenchmarkSnapshot(b *testing.B) {
	m := New(nil)
	hold(m, 100_000, ordinary)
	b.ReportAllocs()
	for b.Loop() {
		m.Snapshot()
	}
	perCommand(b, 100_000)
}

func BenchmarkRestore(b *testing.B) {
	m := New(nil)
	hold(m, 100_000, ordinary)
	data := m.Snapshot()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Restore(data); err != nil {
			b.Fatal(err)
		}
	}
	perCommand(b, 100_000)
}
