package statemachine

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Locks that are held while others come and go are all listed, whatever page they are on, and no page looks at all.
func TestListWhileOthersComeAndGo(t *testing.T) {
	m := New(nil)
	const n = 10 * maxLooked
	hold(m, n, ordinary)
	index, seq := uint64(n), uint64(n)
	apply := func(cmds ...command.Command) {
		for i := range cmds {
			seq++
			cmds[i].Session, cmds[i].Seq, cmds[i].Lowest = 1, seq, seq
		}
		index++
		m.Apply(index, command.Batch{Commands: cmds})
	}
	seen := map[string]int{}
	pages := 0
	for after, next := uint64(0), uint64(0); ; after = next {
		var page []command.Lock
		page, next = m.ListHeld("orders/customer/0000", after, 200)
		pages++
		for _, l := range page {
			seen[l.Key]++
		}
		if next == 0 {
			break
		}
		// Every third lock goes, some of these on to who waits, and others come.
		i := pages * 3
		goes, waits, comes := ordinary(i), ordinary(i), ordinary(n+pages)
		waits.AttemptID = "waiter"
		if pages%2 == 0 {
			apply(waits)
		}
		apply(command.Command{Op: command.Release, Key: goes.Key, AttemptID: goes.AttemptID}, comes)
	}
	if empty, next := m.ListHeld("orders/customer/00000000", 1<<62, 10); len(empty) != 0 || next != 0 {
		t.Errorf("behind the last: %v, %d", empty, next)
	}
	for i := range 10_000 {
		key := ordinary(i).Key
		if gone := i%6 == 3 && i < 3*pages; !gone && seen[key] == 0 {
			t.Errorf("%s is not listed", key)
		}
	}
	if most := (n+2*pages)/200 + n/maxLooked + 2; pages > most {
		t.Errorf("%d pages, want %d at the most", pages, most)
	}
}

// BenchmarkListHeld: a page that finds nothing, of 100,000 locks.
func BenchmarkListHeld(b *testing.B) {
	m := New(nil)
	hold(m, 100_000, func(i int) command.Command {
		return command.Command{Op: command.Acquire, Key: fmt.Sprintf("orders/%08d", i), AttemptID: fmt.Sprint(i), TTL: time.Minute}
	})
	for b.Loop() {
		if page, next := m.ListHeld("none", 0, 256); len(page) != 0 || next == 0 {
			b.Fatal(page, next)
		}
	}
}
