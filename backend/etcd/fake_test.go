package etcd

import (
	"context"
	"net"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// fake answers as an etcd does where all goes well: locks are free, and leases live. A test has it
// refuse, be slow, or answer for a lease in a way of its own.
type fake struct {
	pb.UnimplementedKVServer
	pb.UnimplementedWatchServer
	pb.UnimplementedLeaseServer
	pb.UnimplementedClusterServer
	pb.UnimplementedAuthServer

	addr string

	mu      sync.Mutex
	count   map[string]int                                        // of requests, by method, and of "streams" for keep-alives
	meet    func(ctx context.Context, method string, r any) error // what happens to a request before it is answered; or nil
	refuse  func(r *pb.TxnRequest) bool                           // whose conditions are not met; or nil
	proxy   bool                                                  // it answers for leases that never were as a proxy does
	revoked bool                                                  // the lease, and the epoch key with it
	login   func() (token string)
	members []string
	claim   string                                    // the value of a claim that somebody has
	holder  int64                                     // revision of a claim that is older than all others; 0: there is none
	look    func(sure bool) (revision int64, ok bool) // by which data a look is answered; or nil
}

const (
	fakeLease = 99
	fakeClaim = 7 // the revision of every claim
)

// serve starts a fake server.
func serve(t *testing.T) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: l.Addr().String(), count: make(map[string]int)}
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, r any, info *grpc.UnaryServerInfo, answer grpc.UnaryHandler) (any, error) {
		method := path.Base(info.FullMethod)
		if err := f.met(ctx, method, r); err != nil {
			return nil, err
		}
		return answer(ctx, r)
	}))
	pb.RegisterKVServer(s, f)
	pb.RegisterWatchServer(s, f)
	pb.RegisterLeaseServer(s, f)
	pb.RegisterClusterServer(s, f)
	pb.RegisterAuthServer(s, f)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	return f
}

// open opens a backend on fake servers, and closes it at the test's end.
func (f *fake) open(t *testing.T, user *url.Userinfo, others ...*fake) (*backend, error) {
	t.Helper()
	hosts := []string{f.addr}
	for _, o := range others {
		hosts = append(hosts, o.addr)
	}
	b, err := Open(t.Context(), &url.URL{Scheme: "etcd", User: user, Host: strings.Join(hosts, ",")}, driver.OpenOptions{})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = b.Close() })
	return b.(*backend), nil
}

// lock opens a backend and takes a lock; lost is closed when the backend tells that it is lost.
func (f *fake) lock(t *testing.T, ttl time.Duration) (b *backend, g driver.Grant, lost chan struct{}) {
	t.Helper()
	b, err := f.open(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	lost = make(chan struct{})
	told := sync.OnceFunc(func() { close(lost) })
	g, err = b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "owner", TTL: ttl, Wait: true, Lost: func(error) { told() }})
	if err != nil {
		t.Fatal(err)
	}
	return b, g, lost
}

func (f *fake) met(ctx context.Context, method string, r any) error {
	f.mu.Lock()
	f.count[method]++
	meet := f.meet
	f.mu.Unlock()
	if meet == nil {
		return nil
	}
	return meet(ctx, method, r)
}

func (f *fake) counted(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[method]
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (*fake) header() *pb.ResponseHeader { return &pb.ResponseHeader{Revision: 10, RaftTerm: 2} }

func (f *fake) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.RangeResponse{Header: f.header()}
	switch {
	case strings.Contains(string(r.Key), "/leases/") && !f.revoked:
		answer.Kvs = []*mvccpb.KeyValue{{Key: r.Key, CreateRevision: 3, ModRevision: 3}}
	case f.claim != "" && strings.Contains(string(r.Key), "/locks/k/"):
		answer.Kvs = []*mvccpb.KeyValue{{Key: []byte("fencelock/locks/k/1"), CreateRevision: 5, Value: []byte(f.claim), Lease: 1}}
	case f.holder != 0 && r.SortTarget == pb.RangeRequest_CREATE: // a look
		if f.look != nil {
			revision, ok := f.look(!r.Serializable)
			if !ok {
				return nil, rpctypes.ErrGRPCNoLeader
			}
			answer.Header.Revision = revision
		}
		prefix := string(r.Key)
		answer.Kvs = []*mvccpb.KeyValue{{Key: []byte(prefix + "own"), CreateRevision: fakeClaim}, {Key: []byte(prefix + "holder"), CreateRevision: f.holder}}
	}
	return answer, nil
}

func (f *fake) Put(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
	return &pb.PutResponse{Header: f.header()}, nil
}

func (f *fake) Txn(_ context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	answer := &pb.TxnResponse{Header: f.header(), Succeeded: true}
	answer.Header.Revision = fakeClaim
	f.mu.Lock()
	refuse := f.refuse
	f.mu.Unlock()
	if len(r.Compare) > 0 && r.Compare[0].GetCreateRevision() < 0 || refuse != nil && refuse(r) {
		answer.Succeeded = false
		return answer, nil
	}
	for _, op := range r.Success {
		res := &pb.ResponseOp{}
		switch {
		case op.GetRequestRange() != nil:
			found := &pb.RangeResponse{}
			f.mu.Lock()
			if f.holder != 0 {
				found.Count = 1
			}
			f.mu.Unlock()
			if key := string(op.GetRequestRange().Key); len(r.Compare) == 0 && (refuse == nil || strings.Contains(key, "/leases/")) { // a check
				found.Kvs = []*mvccpb.KeyValue{{Key: op.GetRequestRange().Key, CreateRevision: fakeClaim}}
			}
			res.Response = &pb.ResponseOp_ResponseRange{ResponseRange: found}
		case op.GetRequestPut() != nil:
			res.Response = &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{}}
		default:
			res.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{Deleted: 1}}
		}
		answer.Responses = append(answer.Responses, res)
	}
	return answer, nil
}

func (f *fake) LeaseGrant(_ context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return &pb.LeaseGrantResponse{Header: f.header(), ID: fakeLease, TTL: r.TTL}, nil
}

func (f *fake) LeaseTimeToLive(_ context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	return &pb.LeaseTimeToLiveResponse{Header: f.header(), ID: r.ID, TTL: 60}, nil
}

func (f *fake) LeaseRevoke(context.Context, *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return &pb.LeaseRevokeResponse{Header: f.header()}, nil
}

func (f *fake) LeaseKeepAlive(s pb.Lease_LeaseKeepAliveServer) error {
	f.set(func() { f.count["streams"]++ })
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if err := f.met(s.Context(), "LeaseKeepAlive", r); err != nil {
			return err
		}
		f.mu.Lock()
		proxy := f.proxy
		f.mu.Unlock()
		var ttl int64
		switch {
		case r.ID != session.NoLease:
			ttl = 60
		case proxy:
			ttl = -1
		}
		if err := s.Send(&pb.LeaseKeepAliveResponse{Header: f.header(), ID: r.ID, TTL: ttl}); err != nil {
			return err
		}
	}
}

func (f *fake) Watch(s pb.Watch_WatchServer) error {
	for id := int64(0); ; id++ {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if r.GetCreateRequest() == nil {
			continue
		}
		if err := s.Send(&pb.WatchResponse{Header: f.header(), WatchId: id, Created: true}); err != nil {
			return err
		}
	}
}

func (f *fake) Authenticate(context.Context, *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	return &pb.AuthenticateResponse{Header: f.header(), Token: f.login()}, nil
}

func (f *fake) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.MemberListResponse{Header: f.header()}
	for _, name := range f.members {
		answer.Members = append(answer.Members, &pb.Member{Name: name})
	}
	return answer, nil
}

// eventually waits for something, for as long as a busy machine may take.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
