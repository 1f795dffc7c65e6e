package servers

import (
	"context"
	"time"
)

// standing is what a member says of itself.
type standing struct {
	leads bool
	term  uint64
}

// Leader returns the member that leads, and waits for one if need be. A leader that
// is cut off may go on to believe that it leads; another is preferred as soon as it
// is there. See [Cluster.LeaderAfter].
func (c *Cluster) Leader(t T) *Server {
	t.Helper()
	return c.awaitLeader(t, nil)
}

// LeaderAfter returns the member that leads in place of old, and waits for it.
func (c *Cluster) LeaderAfter(t T, old *Server) *Server {
	t.Helper()
	return c.awaitLeader(t, old)
}

// Leads reports whether a member says that it leads. One that does not answer does
// not.
func (c *Cluster) Leads(member *Server) bool {
	s, err := c.kind.askStanding(context.Background(), member.addr)
	return err == nil && s.leads
}

func (c *Cluster) awaitLeader(t T, not *Server) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if leader := c.leader(ctx, not); leader != nil {
			return leader
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("servers: %v has no leader, or no other, after %v", c, faultLimit)
		}
	}
}

// leader is, of the members that say they lead, the one with the latest term; or
// nil. It does not ask the one that it shall not be, which may be long to answer.
func (c *Cluster) leader(ctx context.Context, not *Server) *Server {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	all := make([]standing, len(c.members))
	_ = c.each(func(i int, s *Server) (err error) {
		if s == not {
			return nil
		}
		all[i], err = c.kind.askStanding(ctx, s.addr)
		return err // and it does not lead
	})
	var leader *Server
	var term uint64
	for i, s := range all {
		if s.leads && (leader == nil || s.term > term) {
			leader, term = c.members[i], s.term
		}
	}
	return leader
}
