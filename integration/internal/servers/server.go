package servers

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// T is what is needed of a test: testing.T, testing.B and the like have it.
type T interface {
	Helper()
	Name() string
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Server is a server that runs, or ran.
type Server struct {
	kind     Kind
	addr     string
	tlsAddr  string
	socket   string
	skew     string // the file by which its clock is set, if it was started with [SkewedClock]
	version  string
	password string // for the questions of this package
	where    string // "in Docker (redis:7.0.15)"
	shared   bool
	certs    *certificates
	machine  machine
}

func newServer(k Kind, o options, where, host string, p ports, m machine) *Server {
	s := &Server{kind: k, where: where, addr: net.JoinHostPort(host, strconv.Itoa(p.plain)), certs: o.tls, machine: m}
	if o.tls != nil {
		s.tlsAddr = net.JoinHostPort(host, strconv.Itoa(p.tls))
	}
	return s
}

// machine is where a server runs.
type machine interface {
	start(context.Context) error // once more, after kill or stop
	kill(context.Context) error
	stop(context.Context) error
	pause(context.Context) error
	unpause(context.Context) error
	running(context.Context) bool
	remove(context.Context) error // with all its data, in whatever state it is
	log(context.Context) string   // the last of what it printed
}

// Bounds for what a server is asked to do. They are only reached when something is
// wrong.
const (
	startLimit = time.Minute
	faultLimit = 20 * time.Second
)

// Addr is its address, host:port, which stays the same through a restart.
func (s *Server) Addr() string { return s.addr }

// TLSAddr is its address for TLS, if it was started with [TLS].
func (s *Server) TLSAddr() string { return s.tlsAddr }

// TLSConfig is for clients of TLSAddr.
func (s *Server) TLSConfig() *tls.Config { return s.certs.config() }

// Socket is the path of its socket, if it was started with [UnixSocket].
func (s *Server) Socket() string { return s.socket }

func (s *Server) Kind() Kind      { return s.kind }
func (s *Server) Version() string { return s.version }

// String tells what runs where: "Redis 8.0.2 in Docker (fencelock/redis-debian:trixie)".
func (s *Server) String() string {
	return fmt.Sprintf("%s %s %s", s.kind.product, s.version, s.where)
}

// Kill ends the server with SIGKILL: what it has not written to disk is lost.
//
// Like the faults below it may be called from any goroutine, one at a time. One
// that cannot be done fails the test.
func (s *Server) Kill(t T) {
	t.Helper()
	s.fault(t, "kill", s.machine.kill)
}

// Stop asks the server to end, with SIGTERM, and waits until it has.
func (s *Server) Stop(t T) {
	t.Helper()
	s.fault(t, "stop", s.machine.stop)
}

// Restart starts a server that was killed or stopped, on the same address with the
// data it left on disk, and waits until it answers. One that runs is stopped first.
func (s *Server) Restart(t T) {
	t.Helper()
	s.fault(t, "restart", func(ctx context.Context) error {
		if s.machine.running(ctx) {
			if err := s.machine.stop(ctx); err != nil {
				return err
			}
		}
		if err := s.machine.start(ctx); err != nil {
			return err
		}
		return s.await(ctx)
	})
}

// Pause freezes the server: connections stay open, and nothing is answered.
func (s *Server) Pause(t T) {
	t.Helper()
	s.fault(t, "pause", s.machine.pause)
}

// Unpause ends [Server.Pause].
func (s *Server) Unpause(t T) {
	t.Helper()
	s.fault(t, "unpause", s.machine.unpause)
}

// lastWords are the last that it has printed.
func (s *Server) lastWords() string { return s.machine.log(context.Background()) }

func (s *Server) fault(t T, what string, do func(context.Context) error) {
	t.Helper()
	if s.shared {
		t.Errorf("servers: %s wants to %s a server that it shares with other tests: use Start in place of Shared", t.Name(), what)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	if err := do(ctx); err != nil {
		t.Errorf("servers: %s: cannot %s %v: %v", t.Name(), what, s, err)
	}
}

// live are the servers that are still to be removed, each with the others of its
// cluster.
var live = registry{clusters: map[*Cluster]bool{}}

type registry struct {
	mu       sync.Mutex
	clusters map[*Cluster]bool
}

func (r *registry) add(c *Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clusters[c] = true
}

// drop reports whether the cluster was there: whoever drops it removes it.
func (r *registry) drop(c *Cluster) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.clusters[c]
	delete(r.clusters, c)
	return was
}

func (r *registry) all() []*Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.clusters))
}

// shared has one server of each kind for the whole test process.
var shared sync.Map // name of the kind → func() (*Server, error)

// Shared returns the server of a kind that all tests of the process share, and
// starts it if need be. It suits tests that keep to a namespace of their own; they
// cannot kill, stop or pause it.
func Shared(t T, k Kind) *Server {
	t.Helper()
	if !underMain.Load() {
		t.Fatalf("servers: TestMain must call servers.Main, which removes shared servers")
	}
	once, _ := shared.LoadOrStore(k.name, sync.OnceValues(func() (*Server, error) {
		c, err := start(k, collect(nil), 1)
		if err != nil {
			return nil, err
		}
		c.members[0].shared = true
		return c.members[0], nil
	}))
	s, err := once.(func() (*Server, error))()
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	return s
}
