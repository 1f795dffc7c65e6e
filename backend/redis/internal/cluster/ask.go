package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// How long a node has to tell something, and how long the others are waited for once most have answered.
const (
	tellTimeout = time.Second
	otherWait   = 50 * time.Millisecond
)

var errSilent = fmt.Errorf("%w: no answer within %v", driver.ErrUnavailable, tellTimeout)

// told is what one node has said.
type told struct {
	from string
	view *view
	next *slotMap // with its endpoints
	err  error
}

// ask asks a node about the Cluster. The error has been through node.Classify.
func (s *peers) ask(ctx context.Context, addr string, words ...any) (any, error) {
	p, done := s.use(addr)
	if p == nil {
		return nil, node.ErrClosed
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(ctx, tellTimeout, errSilent)
	defer cancel()
	reply, err := p.node.Ask(ctx, words...)
	switch {
	case err == nil:
		s.answered(addr)
	case errors.Is(err, errSilent):
		s.doubt(addr)
	case strings.Contains(err.Error(), "NOPERM "):
		err = fmt.Errorf("%w (for a Cluster, allow +cluster|nodes +cluster|slots)", err)
	}
	return reply, err
}

// tell asks a node for its view.
func (s *peers) tell(ctx context.Context, addr string) (*view, error) {
	reply, err := s.ask(ctx, addr, "cluster", "nodes")
	if err != nil {
		return nil, err
	}
	return parseView(reply)
}

// tellMap asks a node for its view and for the endpoints.
func (s *peers) tellMap(ctx context.Context, addr string) (t told) {
	if t.view, t.err = s.tell(ctx, addr); t.err != nil {
		return t
	}
	reply, err := s.ask(ctx, addr, "cluster", "slots")
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

// askAll asks nodes for maps, side by side. It does not wait long for those that are slower than most. The error is that of
// those that have not told any.
func (s *peers) askAll(ctx context.Context, addrs []string) (answers []told, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make(chan told, len(addrs))
	for _, addr := range addrs {
		if !s.begin(func() {
			t := s.tellMap(ctx, addr)
			if t.from = addr; t.err != nil {
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
			return answers, oneLine(failed)
		case <-ctx.Done():
			return answers, fmt.Errorf("%d of %d nodes have answered: %w", n, len(addrs), context.Cause(ctx))
		}
	}
	return answers, oneLine(failed)
}

// oneLine joins errors.
func oneLine(errs []error) error {
	if len(errs) <= 1 {
		return errors.Join(errs...)
	}
	return several(errs)
}

type several []error

func (s several) Error() string {
	texts := make([]string, len(s))
	for i, err := range s {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (s several) Unwrap() []error { return s }
