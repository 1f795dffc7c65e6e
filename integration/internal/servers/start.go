package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// Start starts a server for one test, which may do with it what it likes, and
// removes it at the test's end. Where a variable names a running server, that is
// returned.
func Start(t T, k Kind, opts ...Option) *Server {
	t.Helper()
	return startFor(t, k, collect(opts), 1).members[0]
}

func startFor(t T, k Kind, o options, n int) *Cluster {
	t.Helper()
	c, err := start(k, o, n)
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range c.members {
				t.Logf("the last words of %v:\n%s", s, s.lastWords())
			}
		}
		if err := c.remove(); err != nil {
			t.Errorf("servers: remove %v: %v", c, err)
		}
	})
	return c
}

// assembling is held while a cluster starts. Several that start at the same time take as
// long as one after the other, and meanwhile the members of each give each other up.
var assembling sync.Mutex

// start tries the ways there are, in the order of the README.
func start(k Kind, o options, n int) (*Cluster, error) {
	if n > 1 {
		assembling.Lock()
		defer assembling.Unlock()
	}
	if o.socket && !k.sockets {
		return nil, fmt.Errorf("%s does not listen on a socket: leave UnixSocket out", k.product)
	}
	if o.tls != nil && k.ports.tls == 0 {
		return nil, fmt.Errorf("%s has one port here, which is plain: leave TLS out", k.product)
	}
	if os.Getenv(k.env("ADDR")) != "" {
		return useGiven(k, o, n)
	}
	var reasons []string
	forced := os.Getenv("FENCELOCK_SERVERS")
	switch forced {
	case "", "docker", "process":
	default:
		return nil, fmt.Errorf("FENCELOCK_SERVERS is %q: it can be docker or process", forced)
	}
	if forced != "process" {
		image, err := findImage(k)
		if err == nil {
			return retry(func() (*Cluster, error) { return startContainers(k, o, image, n) })
		}
		reasons = append(reasons, err.Error())
	}
	if forced != "docker" {
		program, err := findProgram(k)
		if err == nil {
			return retry(func() (*Cluster, error) { return startProcesses(k, o, program, n) })
		}
		reasons = append(reasons, err.Error())
	}
	return nil, fmt.Errorf("no way to start %s: install Docker, or %s, or set %s to the address of one that runs [%s]",
		k, k.cure, k.env("ADDR"), strings.Join(reasons, "; "))
}

// starting is held, shared, by every start, so that an interrupted run can wait
// for those under way and remove what they have started.
var starting sync.RWMutex

// retry chooses other ports when another process was quicker to take them.
func retry(start func() (*Cluster, error)) (*Cluster, error) {
	starting.RLock()
	defer starting.RUnlock()
	for n := 1; ; n++ {
		c, err := start()
		if err == nil {
			live.add(c)
			announce(c.members[0])
			return c, nil
		}
		taken := strings.Contains(err.Error(), "already in use") || strings.Contains(err.Error(), "already allocated")
		if !taken || n == 5 {
			return nil, err
		}
	}
}

// remove does so once; whoever comes later has nothing to do.
func (c *Cluster) remove() error {
	if !live.drop(c) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	return c.destroy(ctx)
}

// destroy removes the members first: a network in use cannot be removed.
func (c *Cluster) destroy(ctx context.Context) error {
	err := c.each(func(_ int, s *Server) error { return s.machine.remove(ctx) })
	if c.network != nil {
		err = errors.Join(err, c.network.remove(ctx))
	}
	return err
}

var announced sync.Map

// announce tells once, for the log of a CI run, which server it is that the tests
// run against.
func announce(s *Server) {
	if _, told := announced.LoadOrStore(s.String(), true); !told {
		fmt.Fprintf(os.Stderr, "servers: %v\n", s)
	}
}
