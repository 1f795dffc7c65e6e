package zookeeper_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestHandOffDoesNotGrow: waiters list the queue when they come. A release and the
// grant that follows it then cost one request, however many wait.
func TestHandOffDoesNotGrow(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	holder := dial(t, s.Addr(), ns)
	p := through(t, s.Addr())
	b := dial(t, p.Addr(), ns)
	g, err := holder.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: 30 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}

	const waiters = 60
	grants := make(chan driver.Grant, waiters)
	var all sync.WaitGroup
	for i := range waiters {
		all.Go(func() {
			g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "w" + strconv.Itoa(i), TTL: 30 * time.Second, Wait: true})
			if err != nil {
				t.Errorf("Acquire: %v", err)
				return
			}
			grants <- g
		})
	}
	locktest.Eventually(t, soon, "all wait", func() bool {
		st, err := holder.Inspect(t.Context(), "k")
		return err == nil && st.Waiters == waiters
	})
	release(t, holder, g)
	g = <-grants
	before := p.Counts()
	for range waiters - 1 {
		release(t, b, g)
		g = <-grants
	}
	release(t, b, g)
	after := p.Counts()
	all.Wait()
	perHandOff := float64(after.Requests-before.Requests) / waiters
	t.Logf("%.1f requests for each hand-off", perHandOff)
	if perHandOff > 1.5 { // and now and then a ping, or a barrier
		t.Errorf("%.1f requests for each hand-off, want the release", perHandOff)
	}
}

func release(t *testing.T, b driver.Backend, g driver.Grant) {
	t.Helper()
	if err := b.Release(t.Context(), g); err != nil {
		t.Errorf("Release: %v", err)
	}
}
