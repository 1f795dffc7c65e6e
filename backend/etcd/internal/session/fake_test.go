package session

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver/address"
)

// fake answers for leases as an etcd does where all goes well, or in a way of the test's.
type fake struct {
	pb.UnimplementedKVServer
	pb.UnimplementedWatchServer
	pb.UnimplementedLeaseServer

	addr  string
	proxy bool // it answers for leases that never were as a proxy does

	mu      sync.Mutex
	streams int                // for keep-alives
	alive   func() (ttl int64) // the answer to a keep-alive; or nil
	left    int64              // of the lease, for who asks for that
}

func serve(t *testing.T) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: l.Addr().String()}
	s := grpc.NewServer()
	pb.RegisterKVServer(s, f)
	pb.RegisterWatchServer(s, f)
	pb.RegisterLeaseServer(s, f)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	return f
}

// config is for sessions of which nobody wants to know.
func (f *fake) config(t *testing.T) Config {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{f.addr}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	conn := cluster.New(client, &cluster.Trouble{Contact: address.NewContact(slog.Default())}, nil)
	t.Cleanup(conn.Close)
	if conn.Proxied, err = DetectProxy(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	ignore := func(*Session) {}
	return Config{
		Conn: conn, EpochKey: func(clientv3.LeaseID) string { return "epoch" },
		Died: func(*Session, error) {}, Evicted: func(*Session, string, int64) {}, Recheck: ignore, Sweep: ignore,
		InUse: func(*Session) bool { return true },
	}
}

// unkept makes a session that nobody keeps alive but the test.
func (f *fake) unkept(t *testing.T, ttl time.Duration) *Session {
	t.Helper()
	config := f.config(t)
	s, err := config.grant(ttl)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fake) counted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (*fake) header() *pb.ResponseHeader { return &pb.ResponseHeader{Revision: 10, RaftTerm: 2} }

func (f *fake) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: f.header(), Kvs: []*mvccpb.KeyValue{{Key: r.Key, CreateRevision: 3, ModRevision: 3}}}, nil
}

func (f *fake) Put(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
	return &pb.PutResponse{Header: f.header()}, nil
}

func (f *fake) LeaseGrant(_ context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return &pb.LeaseGrantResponse{Header: f.header(), ID: 99, TTL: r.TTL}, nil
}

func (f *fake) LeaseTimeToLive(_ context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &pb.LeaseTimeToLiveResponse{Header: f.header(), ID: r.ID, TTL: f.left}, nil
}

func (f *fake) LeaseKeepAlive(s pb.Lease_LeaseKeepAliveServer) error {
	f.set(func() { f.streams++ })
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		f.mu.Lock()
		alive := f.alive
		f.mu.Unlock()
		ttl := int64(60)
		switch {
		case r.ID != NoLease && alive != nil:
			ttl = alive()
		case r.ID == NoLease && f.proxy:
			ttl = -1
		case r.ID == NoLease:
			ttl = 0
		}
		if err := s.Send(&pb.LeaseKeepAliveResponse{Header: f.header(), ID: r.ID, TTL: ttl}); err != nil {
			return err
		}
	}
}
