package raftlocal_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var want = driver.Info{
	Name: "raft", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
	MinTTL: 100 * time.Millisecond, MaxTTL: 24 * time.Hour,
}

const noSessions = "claims do not depend on sessions"

var badURLs = map[string]string{
	"raft://":                                   "directory",
	"raft:///":                                  "directory",
	"raft:///d?id=a":                            "ca=",
	"raft:///d?peers=a=h:1":                     "id=",
	"raft:///d?namespace=":                      "namespace",
	"raft:///d?namespace={a}":                   "namespace",
	"raft:///d?namespace=a&namespace=b":         "twice",
	"raft://h1,h2":                              "insecure=true",
	"raft://h1/dir?insecure=true":               "hosts and a path",
	"raft://h1:0?insecure=true":                 "port",
	"raft://h1?insecure=true&ttl=5":             "ttl",
	"raft://user@h1?insecure=true":              "user",
	"raft://h1?insecure=maybe":                  "true or false",
	"raft://h1?ca=/does/not/exist&cert=/x":      "key=",
	"raft:///d?id=a&insecure=true&cluster=c":    "peers=",
	"raft://h1?insecure=true&cluster=two words": "cluster=",
}

// evict ends a grant by a client of its own. There is no other way: nobody but a member
// touches what is on its disk.
func evict(c *raftlocal.Options) func(drivertest.T, string) {
	return func(t drivertest.T, key string) {
		if err := dial(t, c).Evict(t.Context(), key, ""); err != nil {
			t.Fatalf("evicting: %v", err)
		}
	}
}

// TestConformanceOfDirectory runs the published suite on a directory that processes of their
// own share. It fails over by kill -9 of the one that serves: another takes over, or the
// test's own.
func TestConformanceOfDirectory(t *testing.T) {
	t.Parallel()
	d := startDirectory(t, filepath.Join(t.TempDir(), "locks"), 2)
	c := &raftlocal.Options{Dir: d.path, Namespace: locktest.Namespace()}
	drivertest.Run(t, drivertest.Harness{
		Want: want,
		New: func(t drivertest.T) driver.Backend {
			d.handOff()
			return dial(t, c)
		},
		DestroyGrant: evict(c),
		Failover: func(t drivertest.T) {
			d.killServer(t)
			d.hire(t)
		},
		Open:    raftlocal.Open,
		URL:     "raft://" + d.path + "?namespace=" + c.Namespace,
		BadURLs: badURLs,
		Away:    away,
		Lacks: map[string]string{
			"KillSession": noSessions,
			"Partition":   "processes of one machine have no network between them",
		},
	})
}

var away = map[string]string{"raft://127.0.0.1:1?insecure=true": "connection refused"}

// harness is how the suite reaches members: each client through proxies of its own, one to
// each.
func harness(c *servers.Cluster, prepare func(*link)) drivertest.Harness {
	var links sync.Map // driver.Backend to *link
	ns := locktest.Namespace()
	return drivertest.Harness{
		Want: want,
		New: func(t drivertest.T) driver.Backend {
			l := connect(t, c)
			b := dial(t, member(l.addrs(), ns))
			prepare(l)
			links.Store(b, l)
			return b
		},
		DestroyGrant: evict(member(c.Addrs(), ns)),
		Partition: func(_ drivertest.T, b driver.Backend) func() {
			l, _ := links.Load(b)
			l.(*link).each((*proxy.Proxy).Blackhole)
			return func() { l.(*link).each((*proxy.Proxy).Heal) }
		},
		Failover: func(t drivertest.T) { failOver(t, c) },
		Open:     raftlocal.Open,
		URL:      servers.RaftURL(c.Addrs(), ns),
		BadURLs:  badURLs,
		Away:     away,
		Lacks:    map[string]string{"KillSession": noSessions},
	}
}

// failOver kills the leader, and starts it again when another leads. A member by itself is
// just restarted.
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

// TestConformance runs the suite on a member by itself, and on three, through clients.
func TestConformance(t *testing.T) {
	for name, members := range map[string]int{"one member": 1, "three members": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, harness(servers.StartCluster(t, servers.Raft, members), func(*link) {}))
		})
	}
}
