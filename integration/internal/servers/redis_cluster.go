package servers

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"
)

// slots are how many a Redis Cluster has.
const slots = 16384

// RedisCluster is a Redis Cluster of masters, each with its part of the slots, in order: of two,
// the first has 0 to 8191. After them come their replicas, if there are any: first one of each, then
// the second of each.
type RedisCluster struct {
	*Cluster
	Nodes   []RedisNode
	masters int // how many
}

// RedisNode is a member. It keeps its address and its name through a restart, and its role, too.
type RedisNode struct {
	*Server
	ID   string
	Peer string // its address in MOVED and ASK, and for the other members
}

// Replicas is how many replicas each master of [StartRedisCluster] has. A node that is silent for two seconds is given up then:
// Args("--cluster-node-timeout", "500") is another time.
func Replicas(n int) Option { return func(o *options) { o.replicas = n } }

// StartRedisCluster starts n masters, and [Replicas], of one of the [Redises] that form a Redis Cluster, and waits
// until each master serves its slots, and its replicas are in sync. They are removed at the test's end. With [TLS] they
// speak it with each other, too.
func StartRedisCluster(t T, k Kind, n int, opts ...Option) *RedisCluster {
	t.Helper()
	o := collect(opts)
	plain := k.setup
	k.ports.peer = 16379
	k.fixed = true
	k.setup = func(l layout, o options) setup {
		args := append(replicated(o), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(l.peer))
		if o.replicas > 0 {
			args = append(args, "--cluster-node-timeout", "2000", "--cluster-allow-replica-migration", "no")
		}
		if o.tls != nil {
			args = append(args, "--tls-cluster", "yes")
		}
		o.args = append(args, o.args...)
		return plain(l, o)
	}
	all := n * (1 + o.replicas)
	c := &RedisCluster{Cluster: startFor(t, k, o, all), Nodes: make([]RedisNode, all), masters: n}
	for i, s := range c.members {
		s.password = o.password
		c.Nodes[i] = RedisNode{Server: s, Peer: s.Told()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := c.join(ctx); err != nil {
		t.Fatalf("servers: %v does not become a Redis Cluster: %v", c, err)
	}
	return c
}

// join makes a Cluster of servers that know nothing of each other.
func (c *RedisCluster) join(ctx context.Context) error {
	n := c.masters
	buses := make([]string, len(c.members))
	err := c.each(func(i int, s *Server) error {
		view, err := s.clusterView(ctx)
		if err != nil {
			return err
		}
		c.Nodes[i].ID, buses[i] = view.self().id, view.self().bus
		if i < n {
			if _, err = s.askRedis(ctx, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/n, (i+1)*slots/n-1)); err != nil {
				return err
			}
		}
		// Two masters with the same epoch settle it between them later, which would be in the middle of a test.
		_, err = s.askRedis(ctx, fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", i+1))
		return err
	})
	if err != nil {
		return err
	}
	if err := c.meet(ctx, buses); err != nil {
		return err
	}
	err = c.each(func(i int, s *Server) error {
		if i < n {
			return nil
		}
		return poll(ctx, func(ctx context.Context) error { // until it knows its master
			_, err := s.askRedis(ctx, "CLUSTER REPLICATE "+c.Nodes[i%n].ID)
			return err
		})
	})
	if err != nil {
		return err
	}
	return poll(ctx, c.whole)
}

// meet returns when the first node knows all others, of which it tells the rest. A handshake that takes longer than the nodes' time-out,
// on a machine that is busy, is begun again. No epoch can be set afterwards.
func (c *RedisCluster) meet(ctx context.Context, buses []string) error {
	first, asked := c.members[0], time.Time{}
	return poll(ctx, func(ctx context.Context) error {
		view, err := first.clusterView(ctx)
		if err != nil {
			return err
		}
		again := time.Since(asked) > time.Second
		if again {
			asked = time.Now()
		}
		for i, n := range c.Nodes {
			if slices.ContainsFunc(view, func(known clusterNode) bool { return known.id == n.ID && known.linked }) || i == 0 {
				continue
			}
			err = fmt.Errorf("%s does not know %s", first.addr, n.addr)
			if again {
				host, port, _ := net.SplitHostPort(n.Told())
				if _, err := first.askRedis(ctx, fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, buses[i])); err != nil {
					return err
				}
			}
		}
		return err
	})
}
