package raftlocal_test

import (
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// link is the way of one client to the members of a cluster: a proxy to each, and nothing
// beside them.
type link struct{ proxies []*proxy.Proxy }

func connect(t locktest.T, c *servers.Cluster) *link {
	t.Helper()
	return &link{locktest.ThroughMembers(t, c.Addrs())}
}

func (l *link) addrs() []string {
	addrs := make([]string, len(l.proxies))
	for i, p := range l.proxies {
		addrs[i] = p.Addr()
	}
	return addrs
}

func (l *link) each(do func(*proxy.Proxy)) {
	for _, p := range l.proxies {
		do(p)
	}
}
