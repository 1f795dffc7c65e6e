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
	end context.CancelFunc
}

// openAlive opens a stream, within ctx, that lives for as long as another context.
func (b *backend) openAlive(ctx, living context.Context) (*aliveStream, error) {
	living, end := context.WithCancel(clientv3.WithRequireLeader(living))
	defer context.AfterFunc(ctx, end)() // if it has ended, so has the stream, and the first use fails
	s, err := pb.NewLeaseClient(b.client.ActiveConnection()).LeaseKeepAlive(living)
	if err != nil {
		end()
		return nil, rpctypes.Error(err)
	}
	return &aliveStream{s, end}, nil
}

// ask sends a keep-alive and returns its answer. If it fails, or ctx ends, the stream is over.
func (a *aliveStream) ask(ctx context.Context, id clientv3.LeaseID) (*pb.LeaseKeepAliveResponse, error) {
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

// extension is what a server has said of a lease: from a moment before it was asked, the lease
// lives for so long at least, if the server led the cluster in that term; gone if that is negative.
type extension struct {
	start time.Time
	left  time.Duration
	term  uint64
}

const gone = -1

// extend sends one keep-alive. Called by one goroutine at a time.
func (s *session) extend(ctx context.Context) (e extension, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.backend.oneMember(s.ttl))
	defer cancel()
	a := s.alive
	s.alive = nil
	if a == nil {
		if a, err = s.backend.openAlive(ctx, s.listening); err != nil {
			return e, err
		}
	}
	e.start = time.Now()
	answer, err := a.ask(ctx, s.id)
	if err != nil {
		return e, err
	}
	if s.backend.proxied {
		a.end()
	} else {
		s.alive = a
	}
	switch {
	case answer.TTL <= 0:
		e.left = gone
	case s.backend.proxied:
		return s.askWhatIsLeft(ctx)
	default:
		e.term, e.left = answer.Header.RaftTerm, time.Duration(answer.TTL)*time.Second
	}
	return e, nil
}

// askWhatIsLeft asks how long the lease still lives. That passes through a proxy, while what the
// proxy answers to a keep-alive may have been said before it was asked. It is told in whole
// seconds, cut; a leader that has just been elected tells more than there is in any lease.
func (s *session) askWhatIsLeft(ctx context.Context) (e extension, err error) {
	e.start = time.Now()
	answer, err := s.backend.client.TimeToLive(ctx, s.id)
	if err != nil {
		return e, err
	}
	e.term, e.left = answer.RaftTerm, time.Duration(min(answer.TTL, int64(s.ttl/time.Second)))*time.Second
	if answer.TTL < 0 {
		e.left = gone
	}
	return e, nil
}

const (
	// noLease is a lease that never is: servers give a new one another id.
	noLease = 0
	// proxiedTTL is the shortest lease behind a proxy: a second of it is lost by rounding, and
	// half a second by waiting.
	proxiedTTL = 5 * time.Second
)

// behindProxy finds out whether there is a proxy (etcd grpc-proxy) between us and the servers. It
// keeps leases alive in its own time, by a client of its own that asks twice a second, or once in
// a third of a TTL, and answers all that was asked of it until then by one answer. A request on a
// stream that is open already waits for a third of the TTL there, one on a new stream for half a
// second at most. And the answer may be to what its client had asked before, and longer ago than
// we asked. So behind a proxy each keep-alive has a stream of its own, after which we ask what is
// left; and short leases, whose renewals have less time, are made longer.
//
// A proxy is known by what it says of a lease that never was: etcd says 0, and a proxy −1.
func (b *backend) behindProxy(ctx context.Context) (bool, error) {
	a, err := b.openAlive(ctx, ctx)
	if err != nil {
		return false, err
	}
	defer a.end()
	answer, err := a.ask(ctx, noLease)
	return err == nil && answer.TTL < 0, err
}
