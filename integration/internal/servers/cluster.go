package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
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

// Cut drops what the member and the others send each other, until [Cluster.Heal].
// Clients reach all of them. A member that restarts is whole again: its network is
// a new one.
func (c *Cluster) Cut(t T, member *Server) {
	t.Helper()
	c.rule(t, "cut", member, dropInbound, dropOutbound)
}

// CutInbound drops what the others send to the member, and with it their
// acknowledgements of what it sends.
func (c *Cluster) CutInbound(t T, member *Server) {
	t.Helper()
	c.rule(t, "cut what comes to", member, dropInbound)
}

// CutOutbound drops what the member sends to the others.
func (c *Cluster) CutOutbound(t T, member *Server) {
	t.Helper()
	c.rule(t, "cut what goes from", member, dropOutbound)
}

// Heal ends the cuts of a member.
func (c *Cluster) Heal(t T, member *Server) {
	t.Helper()
	c.rule(t, "heal", member, "$i -F")
}

// The rules go by the network instead of by the others' addresses, which change
// when they restart. What comes from its gateway is from clients; what a server
// sends to itself passes by the loopback interface.
const (
	dropInbound  = "$i -A INPUT ! -i lo -s $gateway -j ACCEPT; $i -A INPUT ! -i lo -s $subnet -j DROP"
	dropOutbound = "$i -A OUTPUT ! -o lo -d $gateway -j ACCEPT; $i -A OUTPUT ! -o lo -d $subnet -j DROP"
)

// Some kernels know only one of the two kinds of iptables.
const iptables = `set -e
i="iptables -w"
$i -L -n >/dev/null 2>&1 || i="iptables-legacy -w"
`

func (c *Cluster) rule(t T, what string, member *Server, rules ...string) {
	t.Helper()
	m, ok := member.machine.(*container)
	var image string
	var err error
	switch {
	case !ok:
		err = errors.New("it is a process, and it takes Docker to cut a member off: install Docker, or leave this test out with -skip")
	case c.network == nil:
		err = errors.New("it is alone: use StartCluster with several members")
	default:
		image, err = findImage(faults) // outside the time limit of a fault: it may be built
	}
	member.fault(t, what, func(ctx context.Context) error {
		if err != nil {
			return err
		}
		script := iptables + strings.Join(rules, "\n")
		script = strings.NewReplacer("$gateway", c.network.gateway.String(), "$subnet", c.network.subnet.String()).Replace(script)
		return runBeside(ctx, m, image, script)
	})
}

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
