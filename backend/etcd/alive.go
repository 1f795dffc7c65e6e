package etcd

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// aliveStream is the stream on which a session is kept alive. It stays open from one keep-alive to
// the next, since to open one costs a login where the application's own client has a password. It
// ends when an answer is late, or its member has no leader; the next is opened at another member.
//
// At most one request of it is without an answer, and a stream whose answer is late is thrown away
// with it. So an answer is never taken for that of a later request, whose Start it would get.
type aliveStream struct {
	pb.Lease_LeaseKeepAliveClient
	end   context.CancelFunc
	lasts bool // a member of the cluster has answered on it
}

// noLease is a lease that never is: servers give a new one another id.
const noLease = 0

// unknownMember is how long the first answer on a stream may take: a proxy's own client asks twice
// a second.
const unknownMember = 700 * time.Millisecond

// askToKeepAlive sends one keep-alive and returns its answer, and the time just before it was sent.
// Called by one goroutine at a time.
//
// A stream may lead to a proxy (etcd grpc-proxy), which answers when its own client, that keeps the
// lease alive in its own time, has had an answer: all that was asked until then, by one answer. A
// request on a stream that is open already waits for a third of the TTL there, and one on a new
// stream for half a second at most. So a stream to a proxy is used once. It is known by how it
// answers for a lease that never was: a member says 0, and in its turn; a proxy says −1.
func (s *session) askToKeepAlive(ctx context.Context) (start time.Time, answer *pb.LeaseKeepAliveResponse, err error) {
	a := s.alive
	s.alive = nil
	limit := s.backend.oneMember(s.ttl)
	if a == nil {
		limit = min(max(limit, unknownMember), requestTimeout(s.ttl))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if a == nil {
		a = &aliveStream{}
		var living context.Context
		living, a.end = context.WithCancel(clientv3.WithRequireLeader(s.listening))
		stop := context.AfterFunc(ctx, a.end)
		a.Lease_LeaseKeepAliveClient, err = pb.NewLeaseClient(s.backend.client.ActiveConnection()).LeaseKeepAlive(living)
		stop() // if ctx has ended the stream has, too, and the next use of it fails
		if err != nil {
			a.end()
			return start, nil, rpctypes.Error(err)
		}
	}
	start = time.Now()
	stop := context.AfterFunc(ctx, a.end)
	answer, err = s.ask(a)
	// If ctx has ended after the answer, the answer counts all the same, but the stream is over.
	if !stop() || err != nil || !a.lasts {
		a.end()
		return start, answer, rpctypes.Error(err)
	}
	s.alive = a
	return start, answer, nil
}

// ask sends a keep-alive on a stream. On a new one it asks first for noLease, and does not wait
// for the answer.
func (s *session) ask(a *aliveStream) (*pb.LeaseKeepAliveResponse, error) {
	if !a.lasts && !s.proxied {
		if err := a.Send(&pb.LeaseKeepAliveRequest{ID: noLease}); err != nil {
			return nil, a.why(err)
		}
	}
	if err := a.Send(&pb.LeaseKeepAliveRequest{ID: int64(s.id)}); err != nil {
		return nil, a.why(err)
	}
	answer, err := a.Recv()
	if err == nil && answer.ID == noLease {
		a.lasts = answer.TTL == 0
		answer, err = a.Recv()
	}
	if err == nil && !a.lasts {
		s.proxied = true
	}
	return answer, err
}

// why is the reason for which nothing could be sent: gRPC tells it to who receives.
func (a *aliveStream) why(err error) error {
	if _, told := a.Recv(); told != nil {
		return told
	}
	return err
}
