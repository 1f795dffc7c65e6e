package zookeeper_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestHandOffDoesNotGrow: waiters list the queue when they come, and who came when few
// were ahead once more; for all others a release and a grant cost a few short requests,
// however many wait.
func TestHandOffDoesNotGrow(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), namespace()
	holder := dial(t, s.Addr(), ns)
	p := through(t, s.Addr())
	b := dial(t, p.Addr(), ns)
	g, err := holder.Acquire(t.Context(), driver.Request{Key: "k", Owner: "holder", TTL: 30 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}

	const waiters, few = 60, 20
	grants := make(chan driver.Grant, waiters)
	var all sync.WaitGroup
	for i := range waiters {
		all.Go(func() {
			g, err := b.Acquire(t.Context(), driver.Request{Key: "k", Owner: "w" + strconv.Itoa(i), TTL: 30 * time.Second, Wait: true})
			if err != nil {
				t.Errorf("Acquire: %v", err)
				return
			}
			grants <- g
		})
	}
	eventually(t, soon, "all wait", func() bool {
		st, err := holder.Inspect(t.Context(), "k")
		return err == nil && st.Waiters == waiters
	})
	// The holder came first and may not know of them, so the first hand-off is by list.
	release(t, holder, g)
	g = <-grants
	for range few {
		release(t, b, g)
		g = <-grants
	}
	lists := p.LoseRequest(proxy.ZKOp("getChildren2"), 1) // must not happen: it would break the connection
	defer lists.Cancel()
	before := p.Counts()
	for range waiters - few - 1 {
		release(t, b, g)
		g = <-grants
	}
	release(t, b, g)
	after := p.Counts()
	all.Wait()
	select {
	case <-lists.Fired():
		t.Errorf("a hand-off lists the queue")
	default:
	}
	perHandOff := float64(after.Requests-before.Requests) / (waiters - few)
	t.Logf("%.1f requests for each hand-off", perHandOff)
	if perHandOff > 4 {
		t.Errorf("%.1f requests for each hand-off, want a release and two looks", perHandOff)
	}
}

func release(t *testing.T, b driver.Backend, g driver.Grant) {
	t.Helper()
	if err := b.Release(t.Context(), g); err != nil {
		t.Errorf("Release: %v", err)
	}
}
