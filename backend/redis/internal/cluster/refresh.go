package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// How long a node has to tell its view, how many are asked for the map at a time, and how long the others are waited
// for once most have answered.
const (
	tellTimeout = time.Second
	askedAtOnce = 5
	otherWait   = 50 * time.Millisecond
)

var errSilent = fmt.Errorf("%w: no answer within %v", driver.ErrUnavailable, tellTimeout)

// told is what one node has said.
type told struct {
	view *view
	next *slotMap // with its endpoints
	err  error
}

// ask asks a node about the Cluster, or about itself. The error has been through node.Classify.
func (c *Cluster) ask(ctx context.Context, addr string, words ...any) (any, error) {
	p, done := c.use(addr)
	if p == nil {
		return nil, goredis.ErrClosed
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(ctx, tellTimeout, errSilent)
	defer cancel()
	reply, err := p.node.Ask(ctx, words...)
	switch {
	case err == nil:
		c.answered(addr)
	case errors.Is(err, errSilent):
		c.Doubt(addr)
	case goredis.HasErrorPrefix(err, "NOPERM"):
		err = fmt.Errorf("%w (for a Cluster, allow +cluster|nodes +cluster|slots)", err)
	}
	return reply, err
}

// tell asks a node for its view.
func (c *Cluster) tell(ctx context.Context, addr string) (*view, error) {
	reply, err := c.ask(ctx, addr, "cluster", "nodes")
	if err != nil {
		return nil, err
	}
	return parseView(reply)
}

// tellMap asks a node for its view and for the endpoints.
func (c *Cluster) tellMap(ctx context.Context, addr string) (t told) {
	if t.view, t.err = c.tell(ctx, addr); t.err != nil {
		return t
	}
	reply, err := c.ask(ctx, addr, "cluster", "slots")
	if err != nil {
		return told{err: err}
	}
	found, err := parseEndpoints(reply, addr)
	if err != nil {
		return told{err: err}
	}
	t.next = t.view.mapOf(found, addr)
	return t
}

// Refresh asks nodes for the map, from now on. The error is that of the nodes that were asked, if none has answered.
func (c *Cluster) Refresh(ctx context.Context) error {
	select {
	case c.refreshing <- struct{}{}:
		defer func() { <-c.refreshing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	was := c.slots.Load()
	first, others := c.whomToAsk(was)
	answers, err := c.askFor(ctx, first)
	if len(answers) <= len(first)/2 && len(others) > 0 {
		// Most of the masters are silent, or there are none yet.
		var more []told
		var err2 error
		if more, err2 = c.askFor(ctx, others); err2 != nil {
			err = errors.Join(err, err2)
		}
		answers = append(answers, more...)
	}
	next := newest(answers)
	switch {
	case next == nil && err == nil:
		return fmt.Errorf("%w: no node of the Cluster has told its slots", driver.ErrUnavailable)
	case next == nil:
		return err
	case was != nil && next.epoch < was.epoch && len(answers) <= len(was.masters)/2:
		return nil // a few that have slept, perhaps
	case was != nil && was.same(next):
		return nil
	case !c.adopt(was, next):
		c.want() // a redirection came meanwhile, which may be newer or older than the answers
	}
	return nil
}

// whomToAsk are some of the masters; and who else may know, if they do not answer.
func (c *Cluster) whomToAsk(m *slotMap) (first, others []string) {
	add := func(to []string, addr string) []string {
		if slices.Contains(first, addr) || slices.Contains(to, addr) {
			return to
		}
		return append(to, addr)
	}
	if m != nil {
		for _, i := range rand.Perm(len(m.masters)) {
			if len(first) < askedAtOnce {
				first = add(first, m.masters[i].Addr)
			} else {
				others = add(others, m.masters[i].Addr)
			}
		}
		for _, addr := range m.replicas {
			others = add(others, addr)
		}
	}
	for _, addr := range c.conf.Seeds {
		others = add(others, addr)
	}
	return first, others
}

// askFor asks nodes side by side. It does not wait long for those that are slower than most. The error is that of
// those that have answered otherwise, or not at all.
func (c *Cluster) askFor(ctx context.Context, addrs []string) (answers []told, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make(chan told, len(addrs))
	for _, addr := range addrs {
		if !c.begin(func() {
			t := c.tellMap(ctx, addr)
			if t.err != nil {
				t.err = fmt.Errorf("%s: %w", addr, t.err)
			}
			all <- t
		}) {
			return nil, goredis.ErrClosed
		}
	}
	var failed []error
	var over <-chan time.Time
	for n := range len(addrs) {
		if len(answers) > len(addrs)/2 && over == nil {
			timer := time.NewTimer(otherWait)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case t := <-all:
			if t.err != nil {
				failed = append(failed, t.err)
			} else {
				answers = append(answers, t)
			}
		case <-over:
			return answers, errors.Join(failed...)
		case <-ctx.Done():
			return answers, fmt.Errorf("%d of %d nodes have answered: %w", n, len(addrs), context.Cause(ctx))
		}
	}
	return answers, oneLine(failed)
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

// same reports whether two maps are the same, but for the replicas.
func (m *slotMap) same(other *slotMap) bool {
	return m.owners == other.owners && slices.Equal(m.masters, other.masters) && slices.Equal(m.replicas, other.replicas)
}

// begin calls f on a goroutine for which Close waits; it returns false once Close has begun.
func (c *Cluster) begin(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(f)
	return true
}

// oneLine joins errors, each for one node.
func oneLine(errs []error) error {
	if len(errs) <= 1 {
		return errors.Join(errs...)
	}
	return &several{errs}
}

type several struct{ errs []error }

func (s *several) Error() string {
	texts := make([]string, len(s.errs))
	for i, err := range s.errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (s *several) Unwrap() []error { return s.errs }
