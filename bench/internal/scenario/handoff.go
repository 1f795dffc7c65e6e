package scenario

import (
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/stat"
)

// Columns of the scenarios that empty a line of waiters.
const (
	HandOff         = "per hand-off"
	Commands        = "commands"
	ToFirst         = "first: commands"
	PushesToFirst   = "first: pushes"
	ServerWaiters   = "waiters at server"
	firstWaiter     = "first waiter"
	outOfOrder      = "out of order"
	BytesPerHandOff = "wire bytes"
	idleCommands    = "idle commands/s"
	serverWatches   = "watches/waiter"
)

// thatQueue are the contestants that can be asked to stand in a line of n.
func (t table) thatQueue(n int) []contest.Contestant {
	var all []contest.Contestant
	for _, c := range t.env.lockers() {
		if c.MaxLine > 0 && n > c.MaxLine {
			t.note(c.Name, false, "left out: its waiters all wake at each release, so that a line of %d does not end", n)
		} else {
			all = append(all, c)
		}
	}
	return all
}

// addTimes records a line that was only timed.
func (t table) addTimes(name string, round int, d drained, l line) {
	of := len(l.waiters)
	if len(d.order) < of {
		t.note(name, false, "round %d: given up with %d of %d handed over (%s in all, or %s without a grant); its figures are of those",
			round+1, len(d.order), of, l.limit, stallAfter)
	}
	if len(d.order) == 0 {
		return
	}
	t.add(name, HandOff, report.Nanoseconds, round, float64(d.all)/float64(len(d.order)))
	t.add(name, firstWaiter, report.Nanoseconds, round, float64(d.first))
	t.add(name, outOfOrder, report.Share, round, stat.OutOfOrder(d.order))
}

// addTraffic records a line whose commands were counted. What a waiter sends to get in line belongs to its hand-off; what it
// sends while nothing happens has a column of its own.
func (t table) addTraffic(name string, round int, d drained, l line) {
	of, done := float64(len(l.waiters)), float64(len(d.order))
	if done == 0 {
		return
	}
	t.add(name, Commands, report.Plain, round, float64(d.enter.Commands)/of+float64(d.leave.Commands)/done)
	t.add(name, BytesPerHandOff, report.Bytes, round, float64(d.enter.Bytes())/of+float64(d.leave.Bytes())/done)
	t.add(name, ToFirst, report.Plain, round, float64(d.toFirst.Commands))
	t.add(name, PushesToFirst, report.Plain, round, float64(d.toFirst.Pushes))
	t.add(name, idleCommands, report.Plain, round, float64(d.idle.Commands)/of/l.idle.Seconds())
	if l.meter != nil {
		// There was one release more than waiters: the holder's.
		t.addWork(name, round, d.writes.each(of, done+1), d.syncs.each(of, done+1))
		t.add(name, serverWatches, report.Plain, round, d.watches/of)
	}
}
