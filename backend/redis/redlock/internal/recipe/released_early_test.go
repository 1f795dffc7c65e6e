package recipe

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// obliging is a node that has each key for whoever asks, and answers at once.
type obliging struct {
	wire.Node
	mu    sync.Mutex
	taken int
}

func (n *obliging) Fit() error { return nil }

func (n *obliging) Send(_ context.Context, r wire.Request, _ time.Duration, done func(any, error)) {
	n.mu.Lock()
	switch r.(type) {
	case wire.Take:
		n.taken++
	case wire.End:
		n.taken--
	}
	n.mu.Unlock()
	if _, ok := r.(wire.Take); ok {
		done(wire.TakeReply{Outcome: wire.Done, Count: 7}, nil)
		return
	}
	done(wire.Reply{Outcome: wire.Done}, nil)
}

// TestReleasedJustBeforeTheGrant: Release has the ledger keep the attempt out, and has told the attempt nothing yet, when
// its try gets a majority. That is no grant, and what it has taken is ended.
func TestReleasedJustBeforeTheGrant(t *testing.T) {
	var nodes []wire.Node
	for range 3 {
		nodes = append(nodes, &obliging{})
	}
	var b *Backend
	var once sync.Once
	b = New(Config{Nodes: nodes, Edition: func() uint64 { // asked before the first request
		once.Do(func() { b.registry.release(driver.Grant{Key: "k", AttemptID: "a"}) })
		return 0
	}})
	defer func() { _ = b.Close() }()
	if g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: time.Second}); !errors.Is(err, driver.ErrReleased) {
		t.Errorf("Acquire = %+v, %v", g, err)
	}
	for i, n := range nodes {
		n := n.(*obliging)
		n.mu.Lock()
		if n.taken != 0 {
			t.Errorf("node %d has %d keys left", i, n.taken)
		}
		n.mu.Unlock()
	}
}
