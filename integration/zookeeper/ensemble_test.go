package zookeeper_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// The tests of three servers, which take long to start, do one thing to them after the
// other. Each part leaves them whole.
type part struct {
	name string
	test func(*testing.T, *servers.Cluster)
}

func inTurn(t *testing.T, parts ...part) {
	c := servers.StartCluster(t, servers.ZooKeeper, 3)
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			awaitWhole(t, c)
			p.test(t, c)
		})
	}
}

// awaitWhole waits until all servers serve, and one of them leads. One that led, and
// slept, believes for a moment that it still does, and then serves nobody for another.
func awaitWhole(t *testing.T, c *servers.Cluster) {
	t.Helper()
	locktest.Eventually(t, soon, "one server leads", func() bool {
		leaders := 0
		for _, s := range c.Members() {
			if c.Leads(s) {
				leaders++
			}
		}
		return leaders == 1
	})
	c.Restart(t) // of none, for they run: it waits until they serve
}

// seat is a client that is served by one server of an ensemble, and can go to the
// others.
type seat struct {
	*fencelock.Client
	links []*proxy.Proxy // to each server
}

// sit opens a client on one server. A client chooses by chance, so it is refused by
// the others until it has its session.
func sit(t *testing.T, c *servers.Cluster, on *servers.Server, ns string, ttl time.Duration) seat {
	t.Helper()
	s := alone(t, c, on, ns, ttl)
	for _, l := range s.links {
		l.Admit()
	}
	return s
}

// alone is sit, but the others go on to refuse.
func alone(t *testing.T, c *servers.Cluster, on *servers.Server, ns string, ttl time.Duration) seat {
	t.Helper()
	var s seat
	var addrs []string
	for _, addr := range c.Addrs() {
		p := through(t, addr)
		if addr != on.Addr() {
			p.Refuse()
		}
		s.links, addrs = append(s.links, p), append(addrs, p.Addr())
	}
	s.Client = open(t, strings.Join(addrs, ","), ns, ttl)
	locktest.Unlock(t, lock(t, s.Client, "a first lock, which opens the session"))
	return s
}

// cut is a partition between the client and all servers.
func (s seat) cut() {
	for _, l := range s.links {
		l.Blackhole()
	}
}

func (s seat) heal() {
	for _, l := range s.links {
		l.Heal()
	}
}

// others are the servers that are not this one.
func others(c *servers.Cluster, than *servers.Server) []*servers.Server {
	return slices.DeleteFunc(slices.Clone(c.Members()), func(s *servers.Server) bool { return s == than })
}
