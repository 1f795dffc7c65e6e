package proxy

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// The methods of gRPC's health service, which every gRPC library brings along.
const check, watch = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"

// healthServer is a gRPC server that notes the checks it carries out.
type healthServer struct {
	*health.Server
	addr string

	mu   sync.Mutex
	done map[string]int // checks of a service
}

func startHealthServer(t *testing.T) *healthServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &healthServer{Server: health.NewServer(), addr: l.Addr().String(), done: map[string]int{}}
	g := grpc.NewServer()
	healthpb.RegisterHealthServer(g, s)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); running.Wait() })
	return s
}

// patient is a service whose check is slow and is not carried out if it is cancelled.
const patient = "patient"

func (s *healthServer) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if r.Service == patient {
		select {
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		case <-time.After(30 * time.Millisecond):
		}
	}
	s.mu.Lock()
	s.done[r.Service]++
	s.mu.Unlock()
	return s.Server.Check(ctx, r)
}

func (s *healthServer) carriedOut(service string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done[service]
}

// healthClient is a real client through a proxy.
func healthClient(t *testing.T, p *Proxy) healthpb.HealthClient {
	t.Helper()
	c, err := grpc.NewClient(p.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return healthpb.NewHealthClient(c)
}

// checkOf asks for a service's health and returns the error's code. A service that
// is not known is codes.NotFound: an answer without a message.
func checkOf(ctx context.Context, t *testing.T, c healthpb.HealthClient, service string) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := c.Check(ctx, &healthpb.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	return status.Code(err)
}

func TestGRPCForwards(t *testing.T) {
	s := startHealthServer(t)
	p := Start(t, s.addr, GRPC)
	c := healthClient(t, p)
	s.SetServingStatus("a", healthpb.HealthCheckResponse_SERVING)
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			for range 20 {
				if code := checkOf(t.Context(), t, c, "a"); code != codes.OK {
					t.Errorf("Check = %v", code)
				}
				if code := checkOf(t.Context(), t, c, "unknown"); code != codes.NotFound {
					t.Errorf("Check = %v", code)
				}
			}
		})
	}
	calls.Wait()
	if code := checkOf(t.Context(), t, c, strings.Repeat("long", 100_000)); code != codes.NotFound { // many frames
		t.Errorf("Check = %v", code)
	}
	if got := p.Counts(); got.Accepted != 1 || got.Requests != 641 || got.Replies != 641 || got.Pushes != 0 || got.Unframed != 0 {
		t.Errorf("Counts() = %+v", got)
	}
}

func TestGRPCLosesAReply(t *testing.T) {
	s := startHealthServer(t)
	p := Start(t, s.addr, GRPC)
	c := healthClient(t, p)
	f := p.LoseReplyTo(Method(check, "lost"), 2)
	for i, want := range []codes.Code{codes.NotFound, codes.Unavailable, codes.NotFound} {
		if code := checkOf(t.Context(), t, c, "lost"); code != want {
			t.Errorf("Check %d = %v, want %v", i, code, want)
		}
	}
	fired(t, "the reply is lost", f.Fired())
	if got := s.carriedOut("lost"); got != 3 {
		t.Errorf("carried out %d times, want 3", got)
	}
	if got := p.Counts().Accepted; got != 2 {
		t.Errorf("%d connections, want another after the reset", got)
	}
}

func TestGRPCLosesARequest(t *testing.T) {
	s := startHealthServer(t)
	p := Start(t, s.addr, GRPC)
	c := healthClient(t, p)
	f := p.LoseRequest(Method(check, "lost"), 1)
	if code := checkOf(t.Context(), t, c, "lost"); code != codes.Unavailable {
		t.Errorf("Check = %v", code)
	}
	fired(t, "the request is lost", f.Fired())
	if s.carriedOut("lost") != 0 {
		t.Error("the request was carried out")
	}
}

// The reply of one call is held while another's, asked for later, would come: the
// connection is in order, so it waits too.
func TestGRPCHoldsAReply(t *testing.T) {
	s := startHealthServer(t)
	p := Start(t, s.addr, GRPC)
	c := healthClient(t, p)
	h := p.HoldReplyTo(Method(check, "held"), 1)
	codesOf := make(chan codes.Code, 2)
	go func() { codesOf <- checkOf(t.Context(), t, c, "held") }()
	fired(t, "the reply is held", h.Fired())
	go func() { codesOf <- checkOf(t.Context(), t, c, "behind") }()
	eventually(t, "both are carried out", func() bool { return s.carriedOut("held") == 1 && s.carriedOut("behind") == 1 })
	h.Release()
	for range 2 {
		if code := <-codesOf; code != codes.NotFound {
			t.Errorf("Check = %v", code)
		}
	}
}

func TestGRPCHoldsARequest(t *testing.T) {
	s := startHealthServer(t)
	p := Start(t, s.addr, GRPC)
	c := healthClient(t, p)
	if code := checkOf(t.Context(), t, c, "before"); code != codes.NotFound {
		t.Fatalf("Check = %v", code)
	}
	h := p.HoldRequest(Method(check, "held"), 1)
	answered := make(chan codes.Code, 1)
	go func() { answered <- checkOf(t.Context(), t, c, "held") }()
	fired(t, "the request is held", h.Fired())
	if s.carriedOut("held") != 0 {
		t.Error("the request was carried out")
	}
	h.Release()
	fired(t, "the request is delivered", h.Delivered())
	if code := <-answered; code != codes.NotFound || s.carriedOut("held") != 1 {
		t.Errorf("Check = %v", code)
	}
}

func TestGRPCSwallowsAPush(t *testing.T) {
	s := startHealthServer(t)
	p := Start(t, s.addr, GRPC)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stream, err := healthClient(t, p).Watch(ctx, &healthpb.HealthCheckRequest{Service: "a"}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if r, err := stream.Recv(); err != nil || r.Status != want {
			t.Fatalf("got %v, %v; want %v", r, err, want)
		}
	}
	expect(healthpb.HealthCheckResponse_SERVICE_UNKNOWN) // the answer
	f := p.SwallowPush(Method(watch), 2)
	s.SetServingStatus("a", healthpb.HealthCheckResponse_SERVING)
	expect(healthpb.HealthCheckResponse_SERVING)
	s.SetServingStatus("a", healthpb.HealthCheckResponse_NOT_SERVING)
	fired(t, "the push is swallowed", f.Fired())
	s.SetServingStatus("a", healthpb.HealthCheckResponse_SERVING)
	expect(healthpb.HealthCheckResponse_SERVING)
	if got := p.Counts(); got.Requests != 1 || got.Replies != 1 || got.Pushes != 3 {
		t.Errorf("Counts() = %+v", got)
	}
}

// Whoever speaks HTTP/1 or TLS to the same port is served, unseen.
func TestGRPCPassesOtherProtocols(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), GRPC)
	c := dial(t, p.Addr())
	c.echo("hello")
	if got := p.Counts(); got.Unframed != 1 || got.Requests != 0 || got.Replies != 0 {
		t.Errorf("Counts() = %+v", got)
	}
}
