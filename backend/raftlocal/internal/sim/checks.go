package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// counted is the clock of the cluster under one leader.
type counted struct {
	leader *host
	stamp  int64         // when it began to lead
	awake  time.Duration // of the leader, then
}

// sent notes when a command goes out.
func (w *world) sent(cmd *command.Command) {
	at := ticket{cmd.Session, cmd.Seq}
	if _, ok := w.sends[at]; !ok {
		w.sends[at] = w.now
	}
	w.trace.note('c', cmd.Session, cmd.Seq, uint64(cmd.Op), cmd.Lowest)
}

// leads is when a host sends what only the leader of a term sends.
func (w *world) leads(h *host, term uint64) {
	switch w.leaders[term] {
	case h:
	case nil:
		w.leaders[term] = h
		w.trace.note('l', uint64(h.place), term)
		w.trace.line("%s leads in term %d", h, term)
	default:
		w.fail("election safety: %s and %s lead in term %d", w.leaders[term], h, term)
	}
}

// checkClock looks at the stamp of an entry that was just applied for the first time: the clock
// of the cluster may not have gone further than its leader was awake.
func (w *world) checkClock(h *host, index, term uint64, stamp int64) {
	c := w.clocks[term]
	if c == nil {
		// The first entry of a term, which its leader is the first to apply, mostly.
		w.clocks[term] = &counted{leader: h, stamp: w.truth.stamps, awake: h.awake}
		return
	}
	if c.leader != w.leaders[term] && w.leaders[term] != nil {
		return // a later leader has applied it
	}
	if most := c.stamp + int64(c.leader.awake-c.awake) + int64(time.Millisecond); stamp > most {
		w.fail("index %d: the clock is %v ahead of what the leader %s can have counted", index, time.Duration(stamp-most), c.leader)
	}
}

// expired is when a claim has ended by its deadline: not earlier than its TTL after the
// command that gave it the time was sent, by the fastest of clocks.
func (w *world) expired(c *ruling) {
	sent, ok := w.sends[c.by]
	w.trace.line("claim %d on %s by %s has expired", c.number, c.key, c.owner)
	if !ok {
		return
	}
	if lived := w.now - sent; lived < time.Duration(float64(c.ttl)/(1+skew)) {
		w.fail("%s lost %s %v after it was asked for or renewed, its TTL is %v", c.owner, c.key, lived, c.ttl)
	}
}

// claimed is when an owner gets a claim.
func (w *world) claimed(owner string) {
	if w.denied[owner] {
		w.fail("%s was told that its attempt is over, and it is carried out now", owner)
	}
}
