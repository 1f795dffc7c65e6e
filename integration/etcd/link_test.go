package etcd_test

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// link is the way of one client to the members of a cluster: a proxy to each.
type link struct {
	proxies []*proxy.Proxy

	mu   sync.Mutex
	seen map[clientv3.LeaseID]bool
}

// connect makes a link. It notes the leases of the sessions that the client has.
func connect(t locktest.T, addrs []string, ns string) *link {
	t.Helper()
	l := &link{seen: make(map[clientv3.LeaseID]bool)}
	for _, addr := range addrs {
		p := through(t, addr)
		p.LoseReplyTo(l.overhear(ns), 1)
		l.proxies = append(l.proxies, p)
	}
	return l
}

func (l *link) addrs() string {
	addrs := make([]string, len(l.proxies))
	for i, p := range l.proxies {
		addrs[i] = p.Addr()
	}
	return strings.Join(addrs, ",")
}

func (l *link) each(do func(*proxy.Proxy)) {
	for _, p := range l.proxies {
		do(p)
	}
}

// overhear notes leases by the keys that requests name. It matches no request.
func (l *link) overhear(ns string) func(request []byte) bool {
	fence := regexp.MustCompile(regexp.QuoteMeta(ns) + "/leases/([0-9a-f]+)")
	return func(request []byte) bool {
		for _, m := range fence.FindAllSubmatch(request, -1) {
			if id, err := strconv.ParseInt(string(m[1]), 16, 64); err == nil {
				l.mu.Lock()
				l.seen[clientv3.LeaseID(id)] = true
				l.mu.Unlock()
			}
		}
		return false
	}
}

func (l *link) leases() []clientv3.LeaseID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.seen))
}
