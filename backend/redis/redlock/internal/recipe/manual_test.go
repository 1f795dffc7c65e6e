package recipe_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// manualNode is a node that a test answers for by hand.
type manualNode struct {
	name  string
	unfit error

	mu    sync.Mutex
	asked []*asked
}

// asked is a request to a node by hand.
type asked struct {
	wire.Request
	ctx  context.Context //nolint:containedctx // the sender's, which may have ended
	done func(any, error)
	over bool
}

func (h *manualNode) Name() string { return h.name }

func (h *manualNode) Fit() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unfit
}

// down makes a node unfit, or fit.
func (h *manualNode) down(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unfit = why
}

func (h *manualNode) Send(ctx context.Context, r wire.Request, _ time.Duration, done func(any, error)) {
	if err := h.Fit(); err != nil {
		done(nil, err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, &asked{Request: r, ctx: ctx, done: done})
}

// manualNodes are a backend's nodes.
type manualNodes struct {
	t     *testing.T
	hold  time.Duration // of turn
	nodes []*manualNode
	*recipe.Backend
}

func newManual(t *testing.T, n int) *manualNodes { return newManualOf(t, n, func(*recipe.Config) {}) }

// manual runs a test in virtual time with a backend of n nodes that it answers for.
func manual(t *testing.T, n int, test func(t *testing.T, h *manualNodes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newManual(t, n)) })
}

func newManualOf(t *testing.T, n int, change func(*recipe.Config)) *manualNodes {
	h := &manualNodes{t: t}
	nodes := make([]wire.Node, n)
	for i := range n {
		node := &manualNode{name: "h" + strconv.Itoa(i)}
		h.nodes, nodes[i] = append(h.nodes, node), node
	}
	c := recipe.Config{Nodes: nodes, Channel: "me", Info: info}
	change(&c)
	h.Backend = recipe.New(c)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// next waits for all to be idle, and returns the oldest request of a kind that a node has not answered.
func next[R wire.Request](h *manualNodes, node int) (R, *asked) {
	h.t.Helper()
	synctest.Wait()
	n := h.nodes[node]
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.asked {
		if r, ok := a.Request.(R); ok && !a.over {
			a.over = true
			return r, a
		}
	}
	var r R
	h.t.Fatalf("node %d was not asked to %T", node, r)
	return r, nil
}

// idle reports whether a node has no request that is not answered, when all has come to rest.
func (h *manualNodes) idle(node int) bool { return h.open(node) == nil }

func (h *manualNodes) open(node int) wire.Request {
	synctest.Wait()
	n := h.nodes[node]
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.asked {
		if !a.over {
			return a.Request
		}
	}
	return nil
}

// nothing requires that nodes are idle.
func (h *manualNodes) nothing(nodes ...int) {
	h.t.Helper()
	for _, i := range nodes {
		if r := h.open(i); r != nil {
			h.t.Errorf("node %d was asked to %T", i, r)
		}
	}
}

func (h *manualNodes) took(node int, count uint64) wire.Take {
	h.t.Helper()
	r, a := next[wire.Take](h, node)
	a.done(wire.TakeReply{Outcome: wire.Done, Count: count}, nil)
	return r
}

func (h *manualNodes) other(node int, holder wire.Holder) {
	h.t.Helper()
	_, a := next[wire.Take](h, node)
	a.done(wire.TakeReply{Outcome: wire.Other, Holder: holder}, nil)
}

func (h *manualNodes) ended(node int, o wire.Outcome) wire.End {
	h.t.Helper()
	r, a := next[wire.End](h, node)
	a.done(wire.Reply{Outcome: o}, nil)
	return r
}

func (h *manualNodes) renewed(node int, o wire.Outcome) {
	h.t.Helper()
	_, a := next[wire.Renew](h, node)
	a.done(wire.RenewReply{Outcomes: []wire.Outcome{o}}, nil)
}

// result is what a call that runs beside the test has returned.
type result struct {
	grant driver.Grant
	err   error
}

func run(f func() (driver.Grant, error)) <-chan result {
	c := make(chan result, 1)
	go func() {
		g, err := f()
		c <- result{g, err}
	}()
	return c
}

func (h *manualNodes) acquire(ctx context.Context, wait bool) <-chan result {
	return run(func() (driver.Grant, error) {
		return h.Acquire(ctx, driver.Request{Key: "k", AttemptID: "me", Identity: "mine", TTL: 10 * time.Second, Wait: wait})
	})
}

func (h *manualNodes) release(g driver.Grant) <-chan result {
	return run(func() (driver.Grant, error) { return g, h.Release(h.t.Context(), g) })
}

func (h *manualNodes) renew(g driver.Grant) <-chan result {
	return run(func() (driver.Grant, error) { return g, h.Renew(h.t.Context(), []driver.Grant{g})[0].Err })
}

// got requires that a call has returned, without an error.
func (h *manualNodes) got(c <-chan result) driver.Grant {
	h.t.Helper()
	r := h.returned(c)
	if r.err != nil {
		h.t.Fatalf("it returned %v", r.err)
	}
	return r.grant
}

func (h *manualNodes) returned(c <-chan result) result {
	h.t.Helper()
	synctest.Wait()
	select {
	case r := <-c:
		return r
	default:
		h.t.Fatal("the call has not returned")
		return result{}
	}
}

func (h *manualNodes) waits(c <-chan result) {
	h.t.Helper()
	synctest.Wait()
	select {
	case r := <-c:
		h.t.Fatalf("the call has returned %v", r.err)
	default:
	}
}

// held has the lock on nodes 0 and 1, and an answer of node 2 that has not come.
func (h *manualNodes) held() driver.Grant {
	h.t.Helper()
	c := h.acquire(h.t.Context(), false)
	h.took(0, 7)
	h.took(1, 7)
	return h.got(c)
}

// heldOnAll has the lock on all three nodes.
func (h *manualNodes) heldOnAll() driver.Grant {
	h.t.Helper()
	g := h.held()
	h.took(2, 7)
	return g
}
