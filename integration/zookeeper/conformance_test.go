package zookeeper_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var want = driver.Info{
	Name: "zookeeper", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
	MinTTL: time.Second, MaxTTL: 56 * time.Second, // maxSessionTimeout is a minute
}

// client is how a rule gets a backend, through a proxy for each server.
type client func(t drivertest.T, proxies []*proxy.Proxy, ns string) driver.Backend

// plain opens a URL with all servers.
func plain(t drivertest.T, proxies []*proxy.Proxy, ns string) driver.Backend {
	var hosts []string
	for _, p := range proxies {
		hosts = append(hosts, p.Addr())
	}
	return dial(t, strings.Join(hosts, ","), ns)
}

// harness is how the suite reaches the servers: each client through proxies of its own.
func harness(addrs []string, failover func(t drivertest.T), open client) drivertest.Harness {
	var links sync.Map // driver.Backend to []*link
	ns := locktest.Namespace()
	return drivertest.Harness{
		Want: want,
		TTL:  time.Second,
		New: func(t drivertest.T) driver.Backend {
			var ls []*link
			var proxies []*proxy.Proxy
			for _, addr := range addrs {
				l := linkTo(t, addr)
				ls, proxies = append(ls, l), append(proxies, l.proxy)
			}
			b := open(t, proxies, ns)
			links.Store(b, ls)
			return b
		},
		DestroyGrant: func(t drivertest.T, key string) {
			c := raw(t, addrs...)
			if all := claims(t, c, parentOf(ns, key)); len(all) == 0 {
				t.Fatalf("there is no node to delete")
			} else if err := c.Delete(all[0], -1); err != nil {
				t.Fatalf("deleting a node: %v", err)
			}
		},
		Partition: func(t drivertest.T, b driver.Backend) func() {
			ls, _ := links.Load(b)
			for _, l := range ls.([]*link) {
				l.proxy.Blackhole()
			}
			return func() {
				for _, l := range ls.([]*link) {
					l.proxy.Heal()
				}
			}
		},
		KillSession: func(t drivertest.T, b driver.Backend) {
			ls, _ := links.Load(b)
			killSessions(t, ls.([]*link)...)
		},
		Failover: failover,
		Open:     zookeeper.Open,
		URL:      "zookeeper://" + strings.Join(addrs, ",") + "?namespace=" + ns,
		BadURLs:  badURLs,
		Away:     map[string]string{"zookeeper://127.0.0.1:1": "connection refused", "zookeepers://127.0.0.1:1": "connection refused"},
	}
}

// restart is the fail-over of a server that is alone.
func restart(s *servers.Server) func(t drivertest.T) {
	return func(t drivertest.T) {
		s.Kill(t)
		s.Restart(t)
	}
}

var badURLs = map[string]string{
	"zookeeper://":                            "host",
	"zookeeper:///locks":                      "host",
	"zookeeper://h:0":                         "port",
	"zookeeper://h1,,h2":                      "empty",
	"zookeeper://h//a":                        "path",
	"zookeeper://h/a/../b":                    "path",
	"zookeeper://h?namespace=":                "namespace",
	"zookeeper://h?namespace=a/b":             "namespace",
	"zookeeper://h?namespace=zookeeper":       "namespace",
	"zookeeper://h?namespace=a&namespace=b":   "twice",
	"zookeeper://h?acl=world":                 "acl=",
	"zookeeper://h?acl=world:anyone:x":        "acl=",
	"zookeeper://h?ca=/etc/ca.pem":            "ca",
	"zookeepers://h?ca=/does/not/exist.pem":   "ca=",
	"zookeepers://h?cert=/does/not/exist.pem": "key=",
}

// TestConformance runs the published suite on each server that is supported.
func TestConformance(t *testing.T) {
	for _, kind := range servers.ZooKeepers() {
		t.Run(kind.String(), func(t *testing.T) {
			s := servers.Start(t, kind)
			drivertest.Run(t, harness([]string{s.Addr()}, restart(s), plain))
		})
	}
}

// TestConformanceOfEnsemble runs the suite on three servers, whose leader is killed for
// a fail-over.
func TestConformanceOfEnsemble(t *testing.T) {
	c := servers.StartCluster(t, servers.ZooKeeper, 3)
	var down *servers.Server
	drivertest.Run(t, harness(c.Addrs(), func(t drivertest.T) {
		if down != nil {
			down.Restart(t)
		}
		down = c.Leader(t)
		down.Kill(t)
	}, plain))
}

// TestConformanceOfNew runs some rules on what New makes: all else it shares with Open.
func TestConformanceOfNew(t *testing.T) {
	s := servers.Start(t, servers.ZooKeeper)
	h := harness([]string{s.Addr()}, restart(s), func(t drivertest.T, proxies []*proxy.Proxy, ns string) driver.Backend {
		b, err := zookeeper.New(t.Context(), []string{proxies[0].Addr()}, &zookeeper.Options{Namespace: ns})
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		return b
	})
	for _, v := range drivertest.Check(t.Context(), h, "Info", "Exclusion", "RetryReturnsSameGrant", "ReleaseByAttempt", "CloseLeavesGrants", "DeadSessionIsTold") {
		t.Error(v)
	}
}
