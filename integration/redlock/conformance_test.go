package redlock_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var fenced = driver.Info{
	Name: "redlock", Guarantee: driver.FencedOrder, Features: driver.Push,
	MinTTL: 100 * time.Millisecond, MaxTTL: time.Minute,
}

// The requests to a node: of the two rounds that take a lock, and others.
var (
	takes      = locktest.RedlockRequest("take")
	writesBack = locktest.RedlockRequest("write_back")
	renews     = locktest.RedlockRequest("renew")
	repairs    = locktest.RedlockRequest("repair")
	ends       = locktest.RedlockRequest("end")
	looks      = locktest.RedlockRequest("look")
)

// harness is how the suite reaches nodes: each client by ways of its own.
func (w *env) harness(want driver.Info, client func(t drivertest.T, l links) driver.Backend) drivertest.Harness {
	var all sync.Map // driver.Backend to links
	find := func(b driver.Backend) links {
		l, _ := all.Load(b)
		return l.(links)
	}
	return drivertest.Harness{
		Want: want,
		TTL:  time.Second,
		New: func(t drivertest.T) driver.Backend {
			l := w.links(t)
			b := client(t, l)
			all.Store(b, l)
			return b
		},
		DestroyGrant: func(t drivertest.T, key string) {
			for _, a := range w.admins {
				if err := a.Del(t.Context(), w.name("l:"+key)).Err(); err != nil {
					t.Fatalf("DEL: %v", err)
				}
			}
		},
		Partition: func(t drivertest.T, b driver.Backend) func() {
			cut := find(b)
			for _, p := range cut {
				p.Blackhole()
			}
			return func() {
				for _, p := range cut {
					p.Heal()
				}
			}
		},
		// A minority at a time, and then a majority, come back with what they had.
		Failover: func(t drivertest.T) {
			for _, s := range w.masters {
				s.Kill(t)
				s.Restart(t)
			}
			most := w.masters[:len(w.masters)/2+1]
			concurrently(most, func(s *servers.Server) { s.Kill(t) })
			concurrently(most, func(s *servers.Server) { s.Restart(t) })
		},
		Lacks:   map[string]string{"KillSession": "Redis has no sessions"},
		Open:    redlock.Open,
		URL:     w.url(w.addrs()...),
		BadURLs: badURLs,
		Away: map[string]string{
			"redlock://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3":  "connection refused",
			"redlocks://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3": "connection refused",
		},
	}
}

// dial opens a backend by ways to the nodes.
func (w *env) dial(t drivertest.T, l links) driver.Backend {
	t.Helper()
	return locktest.Dial(t, redlock.Open, &url.URL{Scheme: "redlock", Host: strings.Join(l.addrs(), ","), RawQuery: w.query.Encode()})
}

var badURLs = map[string]string{
	"redlock://":                               "host",
	"redlock:///0":                             "host",
	"redlock://h1":                             "3, 5 or 7",
	"redlock://h1,h2":                          "3, 5 or 7",
	"redlock://h1,h2,h3,h4":                    "3, 5 or 7",
	"redlock://h1,h2,h3,h4,h5,h6,h7,h8,h9":     "3, 5 or 7",
	"redlock://h1,,h3":                         "empty",
	"redlock://h1,h2,h1":                       "h1",
	"redlock://h1,h2,h3:0":                     "port",
	"redlock://h1,h2,h3:70000":                 "port",
	"redlock://h1,h2,h3/x":                     "database",
	"redlock://h1,h2,h3?namespace=":            "namespace",
	"redlock://h1,h2,h3?namespace={a}":         "namespace",
	"redlock://h1,h2,h3?max_ttl=long":          "max_ttl",
	"redlock://h1,h2,h3?max_ttl=1ms":           "max_ttl",
	"redlock://h1,h2,h3?token=perhaps":         "token",
	"redlock://h1,h2,h3?ca=/etc/ca.pem":        "ca",
	"redlocks://h1,h2,h3?ca=/does/not/exist":   "ca=",
	"redlocks://h1,h2,h3?cert=/does/not/exist": "key=",
	"redlock://u:p@h1,h2,h3?password_file=/p":  "password_file",
}

// TestConformance runs the published suite on three nodes and on five. They keep their data, so
// that tokens rise through their restart.
func TestConformance(t *testing.T) {
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := ownEnv(t, n)
			drivertest.Run(t, w.harness(fenced, w.dial))
		})
	}
}

// TestConformanceAdvisory does so on nodes that keep nothing.
func TestConformanceAdvisory(t *testing.T) {
	t.Parallel()
	want := fenced
	want.Guarantee = driver.Advisory
	w := newEnv(t, servers.StartMasters(t, kinds(t, 3)))
	drivertest.Run(t, w.harness(want, w.dial))
}

// TestConformanceTokenless does so without tokens, for those who have no use for them.
func TestConformanceTokenless(t *testing.T) {
	t.Parallel()
	want := fenced
	want.Guarantee, want.Tokenless = driver.Advisory, true
	w := sharedEnv(t, 3, "token", "false")
	h := w.harness(want, w.dial)
	h.Failover, h.Lacks["Failover"] = nil, "there are no tokens to rise"
	drivertest.Run(t, h)
}

// scripts matches the requests that run a script: all that is done about locks.
func scripts(request []byte) bool {
	return slices.ContainsFunc([]func([]byte) bool{takes, writesBack, renews, repairs, ends, looks},
		func(matches func([]byte) bool) bool { return matches(request) })
}
