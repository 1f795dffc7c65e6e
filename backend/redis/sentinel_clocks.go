package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// A lease ends at an instant of the server's clock that replicas have, too, and tokens are not below the clock. So
// after a fail-over to a server whose clock is ahead, leases end early by the difference. After one to a server
// whose clock is behind, tokens may fall.
const (
	// clockTolerance is how far a replica's clock may be from the master's without a warning.
	clockTolerance = time.Second

	// clockTimeout bounds the look at all clocks. What does not answer is not warned about: replicas may have
	// addresses that cannot be reached from here.
	clockTimeout = 500 * time.Millisecond
)

// reading is a server's clock less the time since a moment of this machine, as much as from least to most.
type reading struct {
	least, most time.Duration
	ok          bool
}

// clockWarnings has a sentence for each replica whose clock differs from the master's by more than a second.
func (s *bySentinels) clockWarnings(ctx context.Context, replicas []string) (w []string) {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	start := time.Now()
	readings := make([]reading, len(replicas))
	var asking sync.WaitGroup
	for i, addr := range replicas {
		asking.Go(func() {
			conf := s.conf
			conf.Addr = addr
			n := node.New(ctx, node.Config{Options: conf, DirectLimit: 1})
			defer n.Close()
			readings[i] = askClock(ctx, start, n)
		})
	}
	master := askClock(ctx, start, s.node)
	asking.Wait()
	for i, addr := range replicas {
		if apart := readings[i].from(master); apart != 0 {
			w = append(w, fmt.Sprintf("the clock of the replica %s is %v from the master's: if it becomes the master, "+
				"leases end early or tokens fall by as much; synchronize the clocks", addr, apart.Round(100*time.Millisecond)))
		}
	}
	return w
}

// from is how far a clock is ahead of another at the least, or behind; zero if it may be within the tolerance.
func (r reading) from(other reading) time.Duration {
	switch {
	case !r.ok || !other.ok:
	case r.least-other.most > clockTolerance:
		return r.least - other.most
	case r.most-other.least < -clockTolerance:
		return r.most - other.least
	}
	return 0
}
