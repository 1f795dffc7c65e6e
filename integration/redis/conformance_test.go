package redis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var want = driver.Info{
	Name: "redis", Guarantee: driver.Advisory, Features: driver.Fair | driver.Push,
	MinTTL: 100 * time.Millisecond, MaxTTL: 24 * time.Hour,
}

// harness is how the suite reaches a server: each client through a proxy of its
// own.
func harness(s *servers.Server, client func(t drivertest.T, p *proxy.Proxy, ns string) driver.Backend) drivertest.Harness {
	var links sync.Map // driver.Backend to *proxy.Proxy
	ns := namespace()
	return drivertest.Harness{
		Want: want,
		TTL:  time.Second,
		New: func(t drivertest.T) driver.Backend {
			p := through(t, s.Addr())
			b := client(t, p, ns)
			links.Store(b, p)
			return b
		},
		Evict: func(t drivertest.T, key string) {
			if err := raw(t, s.Addr()).Del(t.Context(), lockKeys(ns, key)...).Err(); err != nil {
				t.Fatalf("DEL: %v", err)
			}
		},
		Partition: func(t drivertest.T, b driver.Backend) func() {
			p, _ := links.Load(b)
			p.(*proxy.Proxy).Blackhole()
			return p.(*proxy.Proxy).Heal
		},
		Failover: func(t drivertest.T) {
			s.Kill(t)
			s.Restart(t)
		},
		Lacks:   map[string]string{"KillSession": "Redis has no sessions"},
		Open:    redis.Open,
		URL:     "redis://" + s.Addr() + "?namespace=" + ns,
		BadURLs: badURLs,
	}
}

var badURLs = map[string]string{
	"redis://":                            "host",
	"redis:///0":                          "host",
	"redis://h1,h2":                       "several hosts",
	"redis://h:0":                         "port",
	"redis://h:70000":                     "port",
	"redis://h/x":                         "database",
	"redis://h?namespace=":                "namespace",
	"redis://h?namespace={a}":             "namespace",
	"redis://h?namespace=a&namespace=b":   "twice",
	"redis://h?durable=perhaps":           "durable",
	"redis://h?ca=/etc/ca.pem":            "ca",
	"rediss://h?ca=/does/not/exist.pem":   "ca=",
	"rediss://h?cert=/does/not/exist.pem": "key=",
	"unix://":                             "socket",
	"unix://run/redis.sock":               "three slashes",
	"unix:///run/redis.sock?db=x":         "db=",
}

// TestConformance runs the published suite on each server that is supported. The
// server keeps its data, so that grants and tokens survive its restart.
func TestConformance(t *testing.T) {
	for _, kind := range servers.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			s := servers.Start(t, kind, servers.Args("--appendonly", "yes", "--appendfsync", "always"))
			drivertest.Run(t, harness(s, func(t drivertest.T, p *proxy.Proxy, ns string) driver.Backend {
				return dial(t, p.Addr(), ns)
			}))
		})
	}
}

// TestConformanceWithLostReplies runs the suite while each client loses the reply
// to its n-th request of each kind: it was carried out, and nobody is told. The
// core asks again, as persistent does here.
func TestConformanceWithLostReplies(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run([]string{1: "first", 2: "second"}[n], func(t *testing.T) {
			s := servers.Start(t, servers.Redis, servers.Args("--appendonly", "yes", "--appendfsync", "always"))
			drivertest.Run(t, harness(s, func(t drivertest.T, p *proxy.Proxy, ns string) driver.Backend {
				b := dial(t, p.Addr(), ns)
				for i := range 5 {
					p.LoseReplyTo(script(i), n)
				}
				return &persistent{b}
			}))
		})
	}
}

// script matches the requests that run the script which this client came to use
// as number i.
func script(i int) func(request []byte) bool {
	var mu sync.Mutex
	var met []string
	return func(request []byte) bool {
		args := proxy.Args(request)
		if len(args) < 2 || !strings.EqualFold(args[0], "evalsha") {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(met, args[1]) {
			met = append(met, args[1])
		}
		return slices.Index(met, args[1]) == i
	}
}

// persistent asks again when it got no answer, as the core of fencelock does.
type persistent struct{ driver.Backend }

func (p *persistent) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	for {
		g, err := p.Backend.Acquire(ctx, req)
		if !goesOn(ctx, err) {
			return g, err
		}
		req.Retry = true
	}
}

func (p *persistent) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := p.Backend.Renew(ctx, grants)
	for i := range out {
		for goesOn(ctx, out[i].Err) {
			out[i] = p.Backend.Renew(ctx, grants[i : i+1])[0]
		}
	}
	return out
}

func (p *persistent) Release(ctx context.Context, g driver.Grant) error {
	for try := 1; ; try++ {
		err := p.Backend.Release(ctx, g)
		if try > 1 && errors.Is(err, driver.ErrNotHeld) {
			return nil // the first one did it
		}
		if !goesOn(ctx, err) {
			return err
		}
	}
}

func (p *persistent) Inspect(ctx context.Context, key string) (driver.Status, error) {
	for {
		s, err := p.Backend.Inspect(ctx, key)
		if !goesOn(ctx, err) {
			return s, err
		}
	}
}

func (p *persistent) Evict(ctx context.Context, key string) error {
	for try := 1; ; try++ {
		err := p.Backend.Evict(ctx, key)
		if try > 1 && errors.Is(err, driver.ErrNotHeld) {
			return nil
		}
		if !goesOn(ctx, err) {
			return err
		}
	}
}

func goesOn(ctx context.Context, err error) bool {
	if !errors.Is(err, driver.ErrUnavailable) || ctx.Err() != nil {
		return false
	}
	select {
	case <-time.After(time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}
