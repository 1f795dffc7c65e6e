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
