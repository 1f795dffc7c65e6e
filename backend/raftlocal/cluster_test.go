package raftlocal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/driver"
)

// cluster is several members in this process, on the loopback interface.
type cluster struct {
	t       *testing.T
	base    Options
	members map[string]*node
}

// node is a member that runs, or has run.
type node struct {
	Options
	lock   *dirlock.Lock
	server *server.Server
}

func (n *node) addr() string {
	for _, p := range n.Peers {
		if p.Name == n.ID {
			return p.Addr
		}
	}
	return ""
}

// freeAddr is an address on which nobody listens. On Linux all of 127/8 is this machine, so it is
// one that nobody else will choose meanwhile.
func freeAddr(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "linux" {
		return fmt.Sprintf("127.%d.%d.%d:7300", 1+rand.N(250), rand.N(250), 1+rand.N(250))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func peersNamed(t *testing.T, names ...string) (peers []Peer) {
	t.Helper()
	for _, name := range names {
		peers = append(peers, Peer{name, freeAddr(t)})
	}
	return peers
}

// newCluster starts members of these names.
func newCluster(t *testing.T, base Options, names ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, base: base, members: map[string]*node{}}
	c.base.Peers = peersNamed(t, names...)
	if c.base.Cluster == "" {
		c.base.Cluster = "test"
	}
	c.base.Insecure = c.base.TLS == nil
	for _, name := range names {
		conf := c.base
		conf.ID, conf.Dir = name, filepath.Join(t.TempDir(), name)
		c.start(conf)
	}
	return c
}

func (c *cluster) start(conf Options) *node {
	c.t.Helper()
	conf, err := conf.check()
	if err != nil {
		c.t.Fatal(err)
	}
	n := &node{Options: conf}
	if n.lock, n.server, err = startMember(c.t.Context(), conf); err != nil {
		c.t.Fatalf("starting %s: %v", conf.ID, err)
	}
	c.members[conf.ID] = n
	c.t.Cleanup(n.kill)
	return n
}

func (n *node) kill() {
	n.server.Kill()
	_ = n.lock.Release() // of one that was released before, too
}

// stop ends a member in good order.
func (c *cluster) stop(n *node) {
	c.t.Helper()
	if err := n.server.Stop(c.t.Context()); err != nil {
		c.t.Errorf("stopping %s: %v", n.ID, err)
	}
	if err := n.lock.Release(); err != nil {
		c.t.Error(err)
	}
}

// clientOf returns the Options of a client.
func (c *cluster) clientOf() *Options {
	conf := c.base
	conf.Peers = nil
	for _, p := range c.base.Peers {
		conf.Hosts = append(conf.Hosts, p.Addr)
	}
	return &conf
}

func (c *cluster) client() driver.Backend {
	c.t.Helper()
	b, err := New(within(c.t, 20*time.Second), c.clientOf())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = b.Close() })
	return b
}

func (c *cluster) admin() *Admin {
	c.t.Helper()
	a, err := NewAdmin(c.clientOf())
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// leader is the member that leads, in the eyes of one that serves.
func (c *cluster) leader() *node {
	c.t.Helper()
	ctx := within(c.t, 20*time.Second)
	for {
		s, err := c.admin().Status(ctx)
		if err == nil && s.Serving {
			return c.members[s.Member]
		}
		if ctx.Err() != nil {
			c.t.Fatalf("no leader: %+v, %v", s, err)
		}
	}
}

// takesOne takes and releases a lock, and returns the token.
func takesOne(t *testing.T, b driver.Backend, key, owner string) uint64 {
	t.Helper()
	g := take(t, b, request(key, owner, true))
	if err := b.Release(t.Context(), g); err != nil && !errors.Is(err, driver.ErrUnavailable) {
		t.Fatal(err)
	}
	return uint64(g.Token)
}
