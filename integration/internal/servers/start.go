package servers

import (
	"context"
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
	s, err := start(k, collect(opts))
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last words of %v:\n%s", s, s.machine.log(context.Background()))
		}
		if err := s.remove(); err != nil {
			t.Errorf("servers: remove %v: %v", s, err)
		}
	})
	return s
}

// start tries the ways there are, in the order of the README.
func start(k Kind, o options) (*Server, error) {
	if os.Getenv(k.env("ADDR")) != "" {
		return useGiven(k, o)
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
			return retry(func() (*Server, error) { return startContainer(k, o, image) })
		}
		reasons = append(reasons, err.Error())
	}
	if forced != "docker" {
		program, err := findProgram(k)
		if err == nil {
			return retry(func() (*Server, error) { return startProcess(k, o, program) })
		}
		reasons = append(reasons, err.Error())
	}
	return nil, fmt.Errorf("no way to start %s: install Docker, or put %s on PATH (Debian: apt-get install %s), or set %s to the address of one that runs [%s]",
		k, k.program, k.pkg, k.env("ADDR"), strings.Join(reasons, "; "))
}

// starting is held, shared, by every start, so that an interrupted run can wait
// for those under way and remove what they have started.
var starting sync.RWMutex

// retry chooses other ports when another process was quicker to take them.
func retry(start func() (*Server, error)) (*Server, error) {
	starting.RLock()
	defer starting.RUnlock()
	for n := 1; ; n++ {
		s, err := start()
		if err == nil {
			live.add(s)
			announce(s)
			return s, nil
		}
		taken := strings.Contains(err.Error(), "already in use") || strings.Contains(err.Error(), "already allocated")
		if !taken || n == 5 {
			return nil, err
		}
	}
}

func (s *Server) remove() error {
	if !live.drop(s) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	return s.machine.remove(ctx)
}

var announced sync.Map

// announce tells once, for the log of a CI run, which server it is that the tests
// run against.
func announce(s *Server) {
	if _, told := announced.LoadOrStore(s.String(), true); !told {
		fmt.Fprintf(os.Stderr, "servers: %v\n", s)
	}
}
