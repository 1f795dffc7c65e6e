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

// referee knows what may not be, whatever a client has seen: two leaders in a term, a clock that is ahead of its
// leader, a claim that ends too early, and an attempt that is carried out when it is over.
type referee struct {
	now   *time.Duration
	fail  func(format string, args ...any)
	trace *trace
	log   *committedLog

	leaders map[uint64]*host // by term
	clocks  map[uint64]*counted
	sends   map[commandID]time.Duration // when a command was first sent

	// denied are the attempts that were told that they certainly have no claim, and never will.
	denied map[string]bool
}

// sent notes when a command goes out.
func (r *referee) sent(cmd *command.Command) {
	at := commandID{cmd.Session, cmd.Seq}
	if _, ok := r.sends[at]; !ok {
		r.sends[at] = *r.now
	}
	r.trace.note('c', cmd.Session, cmd.Seq, uint64(cmd.Op), cmd.Lowest)
}

// leads is when a host sends what only the leader of a term sends.
func (r *referee) leads(h *host, term uint64) {
	switch r.leaders[term] {
	case h:
	case nil:
		r.leaders[term] = h
		r.trace.note('l', uint64(h.place), term)
		r.trace.line("%s leads in term %d", h, term)
	default:
		r.fail("election safety: %s and %s lead in term %d", r.leaders[term], h, term)
	}
}

// checkClock looks at the stamp of an entry that was just applied for the first time: the clock
// of the cluster may not have gone further than its leader was awake.
func (r *referee) checkClock(h *host, index, term uint64, stamp int64) {
	c := r.clocks[term]
	if c == nil {
		// The first entry of a term, which its leader is the first to apply, mostly.
		r.clocks[term] = &counted{leader: h, stamp: r.log.stamps, awake: h.awake}
		return
	}
	if c.leader != r.leaders[term] && r.leaders[term] != nil {
		return // a later leader has applied it
	}
	if most := c.stamp + int64(c.leader.awake-c.awake) + int64(time.Millisecond); stamp > most {
		r.fail("index %d: the clock is %v ahead of what the leader %s can have counted", index, time.Duration(stamp-most), c.leader)
	}
}

// expired is when a claim has ended by its deadline: not earlier than its TTL after the
// command that gave it the time was sent, by the fastest of clocks.
func (r *referee) expired(c *modelClaim) {
	sent, ok := r.sends[c.by]
	r.trace.line("claim %d on %s by %s has expired", c.number, c.key, c.attemptID)
	if !ok {
		return
	}
	if lived := *r.now - sent; lived < time.Duration(float64(c.ttl)/(1+skew)) {
		r.fail("%s lost %s %v after it was asked for or renewed, its TTL is %v", c.attemptID, c.key, lived, c.ttl)
	}
}

// claimed is when an attempt gets a claim.
func (r *referee) claimed(attemptID string) {
	if r.denied[attemptID] {
		r.fail("%s was told that its attempt is over, and it is carried out now", attemptID)
	}
}
