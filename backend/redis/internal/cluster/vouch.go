package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// vouch returns nil if the master at an address has not been given up until now: if enough of the other masters, asked from now
// on, call it a master that answers them, with all the slots that the map gives it.
//
// Why that is enough. Let x be the master, of n that have slots. A replica takes x's place after an election, in
// which more than half of the n have voted for it; x, which has failed, is not among them. A master votes only when it
// holds x for failed, by agreement of most masters, and it notes that (the flag fail) before it votes. It takes the note back
// when it knows the new master, or hears from x again and twice the node timeout has passed: by then those who were elected have told.
//
// Of the n-1 others, n/2+1 (rounded down) have voted. If we ask n-n/2-1 of them, or more, one at least has voted, if anybody has
// been elected before it answered us. That one does not call x a master that answers. So if all those say that it is, nobody
// was elected before the last of them was asked, and so not before x gave its answer, whenever x slept. Some of those whom we ask
// may have slept themselves, and have an old view: that does not matter, as those who have voted have not. Of three masters
// one is asked; of one or two nobody can elect without x, and then none needs to.
//
// n is the greatest that anybody tells, or that the map has: the number of masters is changed by people, who move slots, and
// is known everywhere before they go on.
//
// What x may have lost otherwise: slots do not leave it while it sleeps. A migration needs the node that has the slot, but
// for its last step, for which that node stops writes; CLUSTER FAILOVER does, too. Both are over only some seconds later, also for
// a node that slept meanwhile.
//
// What remains: CLUSTER FAILOVER FORCE and TAKEOVER, which ask neither x, nor (TAKEOVER) anybody, for the time that the news of
// the new master takes to x; the time between this check and the return of Lock; a master that its Cluster cannot reach, and we can, until
// it stops by itself, at about the time at which the others elect; and what replication has not carried over.
//
// A master that has just been elected is not known to all at once. So too few is not the last word: they are asked again,
// until ctx ends. It does when the map says that x is no master any more.
func (c *Cluster) vouch(ctx context.Context, addr string) error {
	for {
		sure, err := c.vote(ctx, addr)
		if sure {
			return err
		}
		c.want()
		if !c.pause(ctx, nil, jitter(voteAgain)) {
			return err
		}
	}
}

// voteAgain is the pause until the others are asked again.
const voteAgain = 40 * time.Millisecond

// vote asks the other masters once. It reports whether that was the last word.
func (c *Cluster) vote(ctx context.Context, addr string) (sure bool, err error) {
	m, x, err := masterAt(ctx, c, addr)
	if err != nil {
		return false, err
	}
	whom := c.peers.shuffle(slices.DeleteFunc(m.addrs(), func(a string) bool { return a == addr }))
	whom = append(whom, c.peers.shuffle(slices.Clone(m.replicas))...) // they do not elect, and may know
	answers := make(chan word, len(whom))
	asked, open, size, yes := 0, 0, m.size(), 0
	var failed []error
	for {
		need := max(size-size/2-1, 0)
		if yes >= need && (yes > 0 || len(whom) == 0) {
			return true, nil
		}
		// One more than are needed, so that a node that is silent costs no time.
		for asked < len(whom) && open < need-yes+1 {
			to := whom[asked]
			if !c.peers.begin(func() { answers <- c.peers.wordOf(ctx, to, m, x) }) {
				return true, node.ErrClosed
			}
			asked, open = asked+1, open+1
		}
		if open == 0 {
			break
		}
		select {
		case w := <-answers:
			open--
			size = max(size, w.size)
			switch {
			case w.elsewhere:
				c.renew()
				return true, w.err
			case w.err != nil:
				failed = append(failed, w.err)
			case w.votes || need == 0:
				yes++
			}
		case <-ctx.Done():
			return true, fmt.Errorf("the other masters could not be asked: %w", oneLine(append(failed, context.Cause(ctx))))
		}
	}
	if size <= 2 {
		return true, nil // nobody answers, and nobody could have elected another
	}
	return false, fmt.Errorf("too few of the other masters say that it is: %w", oneLine(failed))
}

// masterAt is the master at an address, with the map that has it. If only a redirection has told of it, nodes are
// asked first.
func masterAt(ctx context.Context, c *Cluster, addr string) (*slotMap, Master, error) {
	m := c.slots.Load()
	x, ok := m.at(addr)
	if !ok || x.ID == "" {
		if err := c.Refresh(ctx); err != nil {
			return nil, x, err
		}
		m = c.slots.Load()
		x, ok = m.at(addr)
	}
	if !ok || x.ID == "" {
		return nil, x, fmt.Errorf("no node of the Cluster says that %s is a master", addr)
	}
	return m, x, nil
}

// word is what one node says of a master.
type word struct {
	votes     bool  // it is one of those that elect
	size      int   // how many those are
	elsewhere bool  // slots of the master are another's
	err       error // it does not say that the master is one; nil if it does
}

// wordOf asks a node about a master x of the map m.
func (s *peers) wordOf(ctx context.Context, to string, m *slotMap, x Master) word {
	v, err := s.tell(ctx, to)
	if err != nil {
		return word{err: fmt.Errorf("%s: %w", to, err)}
	}
	w := word{size: v.size(), votes: v.self().slots > 0}
	switch of := v.member(x.ID); {
	case of == nil:
		w.err = fmt.Errorf("%s does not know %s", to, x.Addr)
	case !of.master || !v.has(m, x.ID):
		// If its view is older than the map, it has slept.
		w.elsewhere = v.epoch() >= m.epoch
		w.err = fmt.Errorf("%s says that slots of %s are another's", to, x.Addr)
	case of.failing:
		w.err = fmt.Errorf("%s has no answer from %s", to, x.Addr)
	}
	return w
}
