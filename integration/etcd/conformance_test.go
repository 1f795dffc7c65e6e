package etcd_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var want = driver.Info{
	Name: "etcd", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
	MinTTL: time.Second, MaxTTL: 24 * time.Hour,
}

// harness is how the suite reaches a cluster: each client through proxies of its
// own, one to each member.
func harness(c *servers.Cluster, client func(t drivertest.T, l *link, ns string) driver.Backend) drivertest.Harness {
	return harnessAt(c, c.Addrs(), c.Addrs(), client)
}

// harnessAt has the clients know some of a cluster's servers only, and who meddles others.
func harnessAt(c *servers.Cluster, at, direct []string, client func(t drivertest.T, l *link, ns string) driver.Backend) drivertest.Harness {
	var links sync.Map // driver.Backend to *link
	ns := locktest.Namespace()
	addrs := strings.Join(at, ",")
	return drivertest.Harness{
		Want: want,
		TTL:  time.Second,
		New: func(t drivertest.T) driver.Backend {
			l := connect(t, at, ns)
			b := client(t, l, ns)
			links.Store(b, l)
			return b
		},
		DestroyGrant: func(t drivertest.T, key string) {
			if _, err := raw(t, direct...).Delete(t.Context(), lockPrefix(ns, key), clientv3.WithPrefix()); err != nil {
				t.Fatalf("deleting: %v", err)
			}
		},
		Partition: func(t drivertest.T, b driver.Backend) func() {
			l, _ := links.Load(b)
			l.(*link).each((*proxy.Proxy).Blackhole)
			return func() { l.(*link).each((*proxy.Proxy).Heal) }
		},
		KillSession: func(t drivertest.T, b driver.Backend) {
			l, _ := links.Load(b)
			admin := raw(t, direct...)
			for _, lease := range l.(*link).leases() {
				// One that has ended already is no longer there.
				if _, err := admin.Revoke(t.Context(), lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
					t.Errorf("revoking: %v", err)
				}
			}
		},
		Failover: func(t drivertest.T) { failOver(t, c) },
		Open:     etcd.Open,
		URL:      "etcd://" + addrs + "/" + ns,
		BadURLs:  badURLs,
		Away:     map[string]string{"etcd://127.0.0.1:1": "connection refused", "etcds://127.0.0.1:1": "connection refused"},
	}
}

// failOver kills the leader, and starts it again when another leads. A member by
// itself is just restarted.
func failOver(t servers.T, c *servers.Cluster) {
	if len(c.Members()) == 1 {
		c.Kill(t)
		c.Restart(t)
		return
	}
	old := c.Leader(t)
	old.Kill(t)
	c.LeaderAfter(t, old)
	old.Restart(t)
}

func lockPrefix(ns, key string) string { return ns + "/locks/" + url.PathEscape(key) + "/" }

var badURLs = map[string]string{
	"etcd://":                            "host",
	"etcd:///ns":                         "host",
	"etcd://h:0":                         "port",
	"etcd://h:70000":                     "port",
	"etcd://h/a//b":                      "namespace",
	"etcd://h/a/":                        "namespace",
	"etcd://h/a?namespace=b":             "namespace",
	"etcd://h?namespace=":                "namespace",
	"etcd://h?namespace={a}":             "namespace",
	"etcd://h?namespace=a&namespace=b":   "twice",
	"etcd://user@h":                      "password",
	"etcd://h?ca=/etc/ca.pem":            "ca",
	"etcd://h?ttl=5":                     "ttl",
	"etcds://h?ca=/does/not/exist.pem":   "ca=",
	"etcds://h?cert=/does/not/exist.pem": "key=",
}

// plain is a client as it is.
func plain(t drivertest.T, l *link, ns string) driver.Backend { return dial(t, l.addrs(), ns) }

// TestConformance runs the published suite on each server that is supported, and on
// three together.
func TestConformance(t *testing.T) {
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, harness(servers.StartCluster(t, kind, 1), plain))
		})
	}
	t.Run("three members", func(t *testing.T) {
		t.Parallel()
		drivertest.Run(t, harness(servers.StartCluster(t, servers.Etcd, 3), plain))
	})
}

// TestConformanceWithLostReplies runs the suite while each client loses the reply
// to its n-th request of each kind that Acquire and Renew make: it was carried out,
// and nobody is told. The core asks again, as package persistent does here.
func TestConformanceWithLostReplies(t *testing.T) {
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, harness(servers.StartCluster(t, servers.Etcd, 1), func(t drivertest.T, l *link, ns string) driver.Backend {
				b := dial(t, l.addrs(), ns)
				l.each(func(p *proxy.Proxy) {
					for _, kind := range []func([]byte) bool{claims, looks, checks, watches, leases} {
						p.LoseReplyTo(kind, n+1)
					}
				})
				return persistent.New(b)
			}))
		})
	}
}
