package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// askedAtOnce is how many masters are asked for the map at a time.
const askedAtOnce = 5

// The pauses between two looks at the map while somebody wants a new one.
const (
	leastLook = 20 * time.Millisecond
	mostLook  = 250 * time.Millisecond
)

// Refresh asks nodes for the map, from now on. The error is that of the nodes that were asked, if none has answered.
func (c *Cluster) Refresh(ctx context.Context) error {
	select {
	case c.refreshing <- struct{}{}:
		defer func() { <-c.refreshing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	was := c.slots.Load()
	first, others := was.whoKnows(c.conf.Seeds)
	answers, err := c.peers.askAll(ctx, first)
	if len(answers) <= len(first)/2 && len(others) > 0 {
		// Most of the masters are silent, or none is known yet.
		more, failed := c.peers.askAll(ctx, others)
		answers, err = append(answers, more...), failed
	}
	next := newest(answers)
	switch {
	case next == nil && err == nil:
		return fmt.Errorf("%w: no node of the Cluster has told its slots", driver.ErrUnavailable)
	case next == nil:
		return err
	case was != nil && next.epoch < was.epoch && !was.most(answers):
		return nil // some that have slept, perhaps
	case was != nil && was.same(next):
		return nil
	case !c.adopt(was, next):
		c.renew() // a redirection came meanwhile, which may be newer or older than the answers
	}
	return nil
}

// whoKnows are some of the masters; and who else may know the map, if they do not answer.
func (m *slotMap) whoKnows(seeds []string) (first, others []string) {
	if m != nil {
		for _, i := range rand.Perm(len(m.masters)) {
			if len(first) < askedAtOnce {
				first = append(first, m.masters[i].Addr)
			} else {
				others = append(others, m.masters[i].Addr)
			}
		}
		others = append(others, m.replicas...)
	}
	for _, addr := range seeds {
		if !slices.Contains(first, addr) && !slices.Contains(others, addr) {
			others = append(others, addr)
		}
	}
	return first, others
}

// most reports whether most of the masters have told something.
func (m *slotMap) most(answers []told) bool {
	n := 0
	for _, t := range answers {
		if _, is := m.at(t.from); is {
			n++
		}
	}
	return n > len(m.masters)/2
}

// newest is the map with the greatest epoch; of several, that which most agree on. nil if there is none.
//
// It may still be older than another in a part, for what a node hears first differs. A redirection then tells.
func newest(answers []told) (best *slotMap) {
	votes := map[string]int{}
	for _, t := range answers {
		votes[t.next.stamp()]++
	}
	for _, t := range answers {
		if best == nil || t.next.epoch > best.epoch || t.next.epoch == best.epoch && votes[t.next.stamp()] > votes[best.stamp()] {
			best = t.next
		}
	}
	return best
}

// keepMap asks for the map whenever somebody wants that, but not more often than every quarter of a second or so if it
// stays as it is.
func (c *Cluster) keepMap() {
	pause := leastLook
	for {
		idle := time.Now()
		select {
		case <-c.wanted:
		case <-c.closing.Done():
			return
		}
		if time.Since(idle) > 2*mostLook {
			pause = leastLook
		}
		before := c.slots.Load()
		c.look()
		if c.slots.Load() != before {
			pause = leastLook
		}
		select {
		case <-time.After(jitter(pause)):
		case <-c.closing.Done():
			return
		}
		pause = min(2*pause, mostLook)
	}
}

// look asks one master what it knows, and for the map only if that is something new, or it is known that the map is old, or
// that master does not answer.
func (c *Cluster) look() {
	m := c.slots.Load()
	if !c.old.Swap(false) {
		whom := c.peers.shuffle(m.addrs())
		if v, err := c.peers.tell(c.closing, whom[0]); err == nil && !v.news(m) {
			return
		}
	}
	_ = c.Refresh(c.closing) // who wants the map meets the same
}

// jitter is between half of d and d, so that clients that began together do not go on together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
