package servers

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Cluster is several servers that agree with each other, or a server by itself.
type Cluster struct {
	kind    Kind
	members []*Server
	network *clusterNetwork // in Docker, if there are several
}

// StartCluster starts n servers that form a cluster, and waits until all of them
// serve. They are removed at the test's end.
func StartCluster(t T, k Kind, n int, opts ...Option) *Cluster {
	t.Helper()
	if k.askStanding == nil {
		t.Fatalf("servers: %s forms no clusters here", k.product)
	}
	return startFor(t, k, collect(opts), n)
}

// Members are its servers. Each can be killed, restarted and paused by itself, and
// keeps its address.
func (c *Cluster) Members() []*Server { return c.members }

// Addrs are the members' addresses, which clients reach whatever is cut between the
// members.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.members))
	for i, s := range c.members {
		addrs[i] = s.addr
	}
	return addrs
}

func (c *Cluster) String() string {
	if len(c.members) == 1 {
		return c.members[0].String()
	}
	return fmt.Sprintf("%d × %v", len(c.members), c.members[0])
}

// Kill ends all members that run, at once, as a failure of their power does.
func (c *Cluster) Kill(t T) {
	t.Helper()
	c.fault(t, "kill", func(ctx context.Context, s *Server) error {
		if !s.machine.running(ctx) {
			return nil
		}
		return s.machine.kill(ctx)
	})
}

// Restart starts the members that do not run, and waits until all of them serve. A
// member by itself cannot be restarted while there are too few others for it to
// serve.
func (c *Cluster) Restart(t T) {
	t.Helper()
	c.fault(t, "restart", func(ctx context.Context, s *Server) error {
		if !s.machine.running(ctx) {
			if err := s.machine.start(ctx); err != nil {
				return err
			}
		}
		return s.await(ctx)
	})
}

func (c *Cluster) fault(t T, what string, do func(context.Context, *Server) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := c.each(func(_ int, s *Server) error { return do(ctx, s) }); err != nil {
		t.Errorf("servers: %s: cannot %s %v: %v", t.Name(), what, c, err)
	}
}

func memberName(i int) string { return fmt.Sprintf("member%d", i+1) }

// each does something to all members at the same time.
func (c *Cluster) each(do func(int, *Server) error) error {
	errs := make([]error, len(c.members))
	var all sync.WaitGroup
	for i, s := range c.members {
		all.Go(func() { errs[i] = do(i, s) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// await returns when all members serve.
func (c *Cluster) await(ctx context.Context) error {
	return c.each(func(_ int, s *Server) error { return s.await(ctx) })
}
