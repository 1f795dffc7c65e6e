package session

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// keepAliveStream is the stream on which a session is kept alive. It stays open from one keep-alive to
// the next, since to open one costs a login where the application's own client has a password. It
// ends when an answer is late, or its member has no leader; the next is opened at another member.
//
// At most one request of a stream is without an answer, and if that answer is late, the stream is
// thrown away with it. So an answer is never taken for that of a later request, and the grant never
// gets the later request's Start.
type keepAliveStream struct {
	pb.Lease_LeaseKeepAliveClient
	end context.CancelFunc
}

// openKeepAlive opens a stream, within ctx, that lives for as long as another context.
func openKeepAlive(ctx, living context.Context, client *clientv3.Client) (*keepAliveStream, error) {
	living, end := context.WithCancel(clientv3.WithRequireLeader(living))
	defer context.AfterFunc(ctx, end)() // if it has ended, so has the stream, and the first use fails
	s, err := pb.NewLeaseClient(client.ActiveConnection()).LeaseKeepAlive(living)
	if err != nil {
		end()
		return nil, rpctypes.Error(err)
	}
	return &keepAliveStream{s, end}, nil
}

// ask sends a keep-alive and returns its answer. If it fails, or ctx ends, the stream is over.
func (a *keepAliveStream) ask(ctx context.Context, id clientv3.LeaseID) (*pb.LeaseKeepAliveResponse, error) {
	stop := context.AfterFunc(ctx, a.end)
	_ = a.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)}) // if it fails, Recv tells why
	answer, err := a.Recv()
	// If ctx has ended after the answer, that counts all the same; the next request fails.
	stop()
	if err != nil {
		a.end()
	}
	return answer, rpctypes.Error(err)
}

// leaseState is what a server has said of a lease: from a moment before it was asked, the lease
// lives for left at least, if the server led the cluster in that term. If left is negative, the lease is gone.
type leaseState struct {
	start time.Time
	left  time.Duration
	term  uint64
}

const leaseEnded = -1

// sendKeepAlive sends one keep-alive. Called by one goroutine at a time.
func (s *Session) sendKeepAlive(ctx context.Context) (e leaseState, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.conn.MemberTimeout(s.TTL))
	defer cancel()
	a := s.alive
	s.alive = nil
	if a == nil {
		if a, err = openKeepAlive(ctx, s.lifetime, s.conn.Client); err != nil {
			return e, err
		}
	}
	e.start = time.Now()
	answer, err := a.ask(ctx, s.ID)
	if err != nil {
		return e, err
	}
	if s.conn.Proxied {
		a.end()
	} else {
		s.alive = a
	}
	switch {
	case answer.TTL <= 0:
		e.left = leaseEnded
	case s.conn.Proxied:
		return s.askTimeToLive(ctx)
	default:
		e.term, e.left = answer.Header.RaftTerm, time.Duration(answer.TTL)*time.Second
	}
	return e, nil
}

// askTimeToLive asks how long the lease still lives. A proxy passes that question on, while its answer
// to a keep-alive may be older than the question. The answer is in whole
// seconds, cut. A leader that has just been elected tells more than any lease has.
func (s *Session) askTimeToLive(ctx context.Context) (e leaseState, err error) {
	e.start = time.Now()
	answer, err := s.conn.Client.TimeToLive(ctx, s.ID)
	if err != nil {
		return e, err
	}
	e.term, e.left = answer.RaftTerm, time.Duration(min(answer.TTL, int64(s.TTL/time.Second)))*time.Second
	if answer.TTL < 0 {
		e.left = leaseEnded
	}
	return e, nil
}

const (
	// NoLease is the ID of no lease: servers give each new one another ID.
	NoLease = 0
	// ProxiedTTL is the shortest lease behind a proxy: a second of it is lost by rounding, and
	// half a second by waiting.
	ProxiedTTL = 5 * time.Second
)

// DetectProxy finds out whether there is a proxy (etcd grpc-proxy) between us and the servers. A proxy
// keeps leases alive in its own time, by a client of its own that asks twice a second, or once in
// a third of a TTL, and gives one answer to all requests that have come until then. A request on a
// stream that is open already waits for a third of the TTL there; one on a new stream for half a
// second at most. And the proxy's client may have sent the question that is answered earlier than
// we sent ours. So behind a proxy each keep-alive has a stream of its own, after which we ask what is
// left; and short leases are made longer, since their renewals have less time.
//
// A proxy is known by its answer for a lease that never existed: etcd says 0, and a proxy −1.
func DetectProxy(ctx context.Context, client *clientv3.Client) (bool, error) {
	a, err := openKeepAlive(ctx, ctx, client)
	if err != nil {
		return false, err
	}
	defer a.end()
	answer, err := a.ask(ctx, NoLease)
	return err == nil && answer.TTL < 0, err
}
