package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// Find looks for the Cluster at the seeds, and returns when one of them has told the map: whole, with a master for each
// slot that answers the others. It waits for that as long as ctx lasts, for a fail-over may be under way; then its error
// says what was missing. watch goes along with what is asked of each seed, to say more of an error.
func (c *Cluster) Find(ctx context.Context, watch func(ctx context.Context, addr string) (context.Context, func(error) error)) error {
	if err := greet(ctx, c, watch); err != nil {
		return err
	}
	var last error
	for {
		err := c.Refresh(ctx)
		if err == nil {
			err = whole(ctx, c)
		}
		if err == nil {
			break
		}
		if errors.Is(err, driver.ErrRefused) && !errors.Is(err, driver.ErrUnavailable) {
			return err // a user who may not ask, say
		}
		if last == nil || ctx.Err() == nil { // else it says no more than that
			last = err
		}
		select {
		case <-time.After(jitter(mostLook)):
		case <-ctx.Done():
			return last
		}
	}
	if !c.peers.begin(c.keepMap) {
		return goredis.ErrClosed
	}
	return nil
}

// greet returns when a seed has said that it is a member of a Cluster. Otherwise the error says what each is.
func greet(ctx context.Context, c *Cluster, watch func(ctx context.Context, addr string) (context.Context, func(error) error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the others need not answer any more
	answers := make(chan error, len(c.conf.Seeds))
	for _, addr := range c.conf.Seeds {
		if !c.peers.begin(func() {
			watched, end := watch(ctx, addr)
			err := end(greetOne(watched, c, addr))
			if err != nil && len(c.conf.Seeds) > 1 {
				err = fmt.Errorf("%s: %w", addr, err)
			}
			answers <- err
		}) {
			return goredis.ErrClosed
		}
	}
	var failed []error
	for range c.conf.Seeds {
		err := <-answers // its questions end with ctx
		if err == nil {
			return nil
		}
		failed = append(failed, err)
	}
	return oneLine(failed)
}

func greetOne(ctx context.Context, c *Cluster, addr string) error {
	return c.With(addr, func(n *node.Node) error {
		s, err := n.Look(ctx)
		if err != nil {
			return err
		}
		if err := s.UsableInCluster(); err != nil && s.Mode() != "cluster" { // one of its replicas knows the map, too
			return err
		}
		return nil
	})
}

// whole returns nil if each slot has a master that is there, as far as one of them knows.
func whole(ctx context.Context, c *Cluster) error {
	m := c.slots.Load()
	if n := m.missing(); n > 0 {
		return fmt.Errorf("%w: %d of the %d slots of the Cluster have no master (CLUSTER ADDSLOTS, redis-cli --cluster fix)", driver.ErrUnavailable, n, Slots)
	}
	v, err := c.peers.tell(ctx, c.peers.shuffle(m.addrs())[0])
	if err != nil {
		return err
	}
	for i := range v.members {
		if x := &v.members[i]; x.slots > 0 && x.failing {
			return fmt.Errorf("%w: the master of %d slots of the Cluster, %s, does not answer the others", driver.ErrUnavailable, x.slots, x.addr)
		}
	}
	return nil
}
