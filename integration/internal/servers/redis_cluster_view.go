package servers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clusterView is what a node of a Redis Cluster says of all nodes.
type clusterView []clusterNode

type clusterNode struct {
	id, bus string
	flags   []string // myself, master, slave, fail?, fail, handshake, noaddr
	master  string   // of a replica
	epoch   uint64
	linked  bool
	ranges  [][2]int // of slots
}

func (s *Server) clusterView(ctx context.Context) (clusterView, error) {
	text, err := s.askText(ctx, "CLUSTER NODES")
	if err != nil {
		return nil, err
	}
	var view clusterView
	for line := range strings.Lines(text) { // id host:port@bus[,name] flags master ping pong epoch link slots…
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES of %s: %q", s.addr, line)
		}
		_, bus, _ := strings.Cut(f[1], "@")
		bus, _, _ = strings.Cut(bus, ",")
		n := clusterNode{id: f[0], bus: bus, flags: strings.Split(f[2], ","), master: f[3], linked: f[7] == "connected"}
		n.epoch, _ = strconv.ParseUint(f[6], 10, 64)
		for _, slots := range f[8:] { // 5, 5-9, or [5->-node] of one that moves
			from, to, found := strings.Cut(slots, "-")
			if !found {
				to = from
			}
			first, err := strconv.Atoi(from)
			last, err2 := strconv.Atoi(to)
			if err == nil && err2 == nil {
				n.ranges = append(n.ranges, [2]int{first, last})
			}
		}
		view = append(view, n)
	}
	if view.self().id == "" {
		return nil, fmt.Errorf("CLUSTER NODES of %s: %q", s.addr, text)
	}
	return view, nil
}

func (v clusterView) self() clusterNode {
	i := slices.IndexFunc(v, func(n clusterNode) bool { return n.is("myself") })
	if i < 0 {
		return clusterNode{}
	}
	return v[i]
}

func (n clusterNode) is(flag string) bool { return slices.Contains(n.flags, flag) }

func (n clusterNode) has(slot int) bool {
	return slices.ContainsFunc(n.ranges, func(r [2]int) bool { return r[0] <= slot && slot <= r[1] })
}

// Master returns the node that says that it is the master of a slot; if several do, that of the latest election. It waits for
// one if need be.
func (c *RedisCluster) Master(t T, slot int) *RedisNode {
	t.Helper()
	return c.MasterAfter(t, slot, nil)
}

// MasterAfter returns the master in place of old, and waits for it.
func (c *RedisCluster) MasterAfter(t T, slot int, old *RedisNode) (master *RedisNode) {
	t.Helper()
	awaitFor(t, faultLimit, fmt.Sprintf("slot %d has no master, or no other", slot), func(ctx context.Context) error {
		views := c.views(ctx)
		var epoch uint64
		master = nil
		for i, view := range views {
			if self := view.self(); self.is("master") && self.has(slot) && (master == nil || self.epoch > epoch) {
				master, epoch = &c.Nodes[i], self.epoch
			}
		}
		if master == nil || old != nil && master.ID == old.ID {
			return errors.New("they say otherwise")
		}
		return nil
	})
	return master
}

// ReplicasOf are those that a master says it has and that are well.
func (c *RedisCluster) ReplicasOf(t T, master *RedisNode) (all []*RedisNode) {
	t.Helper()
	view, err := master.clusterView(context.Background())
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	for _, n := range view {
		if n.master == master.ID && !n.is("fail") && !n.is("fail?") {
			i := slices.IndexFunc(c.Nodes, func(node RedisNode) bool { return node.ID == n.id })
			all = append(all, &c.Nodes[i])
		}
	}
	return all
}

// Promote makes a replica the master of its master's slots, in agreement with that, and waits until it is. The word can be
// FORCE, for a master that does not answer, or TAKEOVER, which asks nobody.
func (c *RedisCluster) Promote(t T, replica *RedisNode, word ...string) {
	t.Helper()
	command := strings.Join(append([]string{"CLUSTER FAILOVER"}, word...), " ")
	asked := time.Time{}
	awaitFor(t, faultLimit, "the replica is not promoted", func(ctx context.Context) error {
		view, err := replica.clusterView(ctx)
		if err == nil && view.self().is("master") {
			return nil
		}
		if time.Since(asked) > 5*time.Second { // it gives up after that time
			asked = time.Now()
			if _, err := replica.askRedis(ctx, command); err != nil {
				asked = time.Time{}
				return err
			}
		}
		return errors.Join(errors.New("it is none yet"), err)
	})
}

// AwaitWhole returns when all nodes run and know each other, all slots are served, and the replicas are in sync.
func (c *RedisCluster) AwaitWhole(t T) {
	t.Helper()
	awaitFor(t, startLimit, "not all is well", c.whole)
}

// views are what the nodes say that answer, in their order.
func (c *RedisCluster) views(ctx context.Context) []clusterView {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	views := make([]clusterView, len(c.members))
	_ = c.each(func(i int, s *Server) (err error) {
		views[i], err = s.clusterView(ctx)
		return err
	})
	return views
}

func (c *RedisCluster) whole(ctx context.Context) error {
	return c.each(func(_ int, s *Server) error {
		text, err := s.askText(ctx, "CLUSTER INFO")
		if err != nil {
			return err
		}
		if info := infoFields(text); info["cluster_state"] != "ok" || info["cluster_size"] != strconv.Itoa(c.masters) {
			return fmt.Errorf("CLUSTER INFO of %s: state %s, size %s", s.addr, info["cluster_state"], info["cluster_size"])
		}
		view, err := s.clusterView(ctx)
		if err != nil {
			return err
		}
		replicas := 0
		for _, n := range view {
			if len(n.flags) != 1 && !n.is("myself") || !n.linked {
				return fmt.Errorf("%s takes %s for %v, linked: %v", s.addr, n.id, n.flags, n.linked)
			}
			if n.is("slave") {
				replicas++
			}
		}
		if len(view) != len(c.members) || replicas != len(c.members)-c.masters {
			return fmt.Errorf("%s knows %d nodes, %d replicas", s.addr, len(view), replicas)
		}
		if self := view.self(); self.is("slave") {
			i := slices.IndexFunc(c.Nodes, func(node RedisNode) bool { return node.ID == self.master })
			return s.inSync(ctx, c.Nodes[i].Told())
		}
		return nil
	})
}
