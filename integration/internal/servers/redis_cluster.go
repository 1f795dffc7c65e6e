package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// slots are how many a Redis Cluster has.
const slots = 16384

// RedisCluster is a Redis Cluster of masters, each with its part of the slots, in order: of two,
// the first has 0 to 8191.
type RedisCluster struct {
	*Cluster
	Nodes []RedisNode
}

// RedisNode is a member. It keeps its address and its name through a restart.
type RedisNode struct {
	*Server
	ID   string
	Peer string // its address for the other members, which is in MOVED and ASK; clients use Addr
}

// StartRedisCluster starts n servers of one of the [Redises] that form a Redis Cluster, and waits
// until each of them serves its slots. They are removed at the test's end.
func StartRedisCluster(t T, k Kind, n int, opts ...Option) *RedisCluster {
	t.Helper()
	plain := k.setup
	k.ports.peer = 16379
	k.setup = func(l layout, o options) setup {
		s := plain(l, o)
		s.args = append(s.args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(l.peer))
		return s
	}
	c := &RedisCluster{Cluster: startFor(t, k, collect(opts), n), Nodes: make([]RedisNode, n)}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := c.join(ctx); err != nil {
		t.Fatalf("servers: %v does not become a Redis Cluster: %v", c, err)
	}
	return c
}

// join makes a Cluster of servers that know nothing of each other.
func (c *RedisCluster) join(ctx context.Context) error {
	n := len(c.members)
	buses := make([]string, n)
	err := c.each(func(i int, s *Server) error {
		id, bus, err := myself(ctx, s.addr)
		if err != nil {
			return err
		}
		peer, err := s.peerAddr(ctx, c.network)
		if err != nil {
			return err
		}
		c.Nodes[i] = RedisNode{Server: s, ID: id, Peer: peer}
		if _, err = askRedis(ctx, s.addr, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/n, (i+1)*slots/n-1)); err != nil {
			return err
		}
		// Two masters with the same epoch settle it between them later, which would be in the middle of a test.
		_, err = askRedis(ctx, s.addr, fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", i+1))
		buses[i] = bus
		return err
	})
	for i := 1; i < n && err == nil; i++ { // no epoch can be set once it knows another
		host, port, _ := net.SplitHostPort(c.Nodes[i].Peer)
		_, err = askRedis(ctx, c.members[0].addr, fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, buses[i]))
	}
	if err != nil {
		return err
	}
	return c.each(func(_ int, s *Server) error { return awaitSlots(ctx, s.addr, n) })
}

// awaitSlots returns when a node serves, and knows of n nodes.
func awaitSlots(ctx context.Context, addr string, n int) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		info, err := askRedis(ctx, addr, "CLUSTER INFO")
		if err == nil && strings.Contains(info, "cluster_state:ok") &&
			strings.Contains(info, fmt.Sprintf("cluster_size:%d\r\n", n)) {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("CLUSTER INFO of %s: %q, %w", addr, info, errors.Join(err, ctx.Err()))
		}
	}
}

// peerAddr is where the other members reach one.
func (s *Server) peerAddr(ctx context.Context, n *clusterNetwork) (string, error) {
	m, ok := s.machine.(*container)
	if !ok {
		return s.addr, nil
	}
	found, err := m.docker.ContainerInspect(ctx, m.id, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	for _, e := range found.Container.NetworkSettings.Networks {
		if n == nil || e.NetworkID == n.id {
			return net.JoinHostPort(e.IPAddress.String(), strconv.Itoa(s.kind.ports.plain)), nil
		}
	}
	return "", fmt.Errorf("%v is in no network", s)
}

// myself returns the name of a node, and the port of its bus.
func myself(ctx context.Context, addr string) (id, bus string, err error) {
	nodes, err := askRedis(ctx, addr, "CLUSTER NODES")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(nodes) { // id host:port@bus[,name] myself,master …
		fields := strings.Fields(line)
		if len(fields) > 2 && strings.Contains(fields[2], "myself") {
			_, bus, _ := strings.Cut(fields[1], "@")
			bus, _, _ = strings.Cut(bus, ",")
			return fields[0], bus, nil
		}
	}
	return "", "", fmt.Errorf("CLUSTER NODES of %s: %q", addr, nodes)
}

// askRedis sends a command, on a connection of its own, whose answer is a line or a text.
func askRedis(ctx context.Context, addr, command string) (string, error) {
	return askServer(ctx, addr, command+"\r\n", func(r *bufio.Reader) (string, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimSpace(line)
		switch line[:1] {
		case "-":
			return "", fmt.Errorf("%s: %s", command, line[1:])
		case "$":
			size, err := strconv.Atoi(line[1:])
			if err != nil {
				return "", fmt.Errorf("%s: %s", command, line)
			}
			body := make([]byte, size)
			_, err = io.ReadFull(r, body)
			return string(body), err
		}
		return line[1:], nil
	})
}
