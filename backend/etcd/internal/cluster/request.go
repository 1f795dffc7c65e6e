package cluster

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/fencelock/fencelock/driver"
)

// Request is the context of one request, made by Bound.
type Request struct {
	context.Context
	conn   *Conn
	sent   outgoing
	cancel context.CancelFunc
	late   *time.Timer
}

// Bound returns the context for one request: it ends with ctx, after the timeout, when the connection is closed, or
// with End. A member that is cut off from the others refuses the request, and does not keep it until then: the client,
// or we, go on to the next.
//
// Bound against Close: if Bound is first, Close finds the request and ends it; if Close is, the request ends here.
func (c *Conn) Bound(ctx context.Context, timeout time.Duration) *Request {
	r := &Request{conn: c, sent: c.outgoing(ctx)}
	r.Context, r.cancel = context.WithCancel(&r.sent)
	r.late = time.AfterFunc(timeout, r.cancel)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Closed() {
		r.cancel()
	} else {
		c.requests[r] = struct{}{}
	}
	return r
}

// End ends a request that has been answered, or is given up.
func (r *Request) End() {
	r.late.Stop()
	r.cancel()
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	delete(r.conn.requests, r)
}

// outgoing is the context of a request as gRPC sees it. It has the header that is the same for all of them, made
// once, in the place of what the caller may have given to requests of its own.
type outgoing struct {
	NoDeadline
	header context.Context
}

func (c *Conn) outgoing(ctx context.Context) outgoing { return outgoing{NoDeadline{ctx}, c.header} }

// Value returns what a context has for a key.
func (o *outgoing) Value(key any) any {
	if v := o.header.Value(key); v != nil {
		return v
	}
	return o.Context.Value(key)
}

// NoDeadline ends when its context does, and hides when that will be. A deadline travels with the request, as
// a header that differs each time, and costs the server a timer, though the client gives the request up by
// itself.
type NoDeadline struct{ context.Context }

// Deadline says that there is none.
func (NoDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// MemberTimeout is how long one member has to answer before the next is asked. A member has the time of the
// whole request in three cases: there are no others; the application's own client has a password, and may
// have to log in first, which it does inside that time; and behind a proxy, which answers in its own time.
func (c *Conn) MemberTimeout(ttl time.Duration) time.Duration {
	if c.FullTimeout {
		return driver.RequestTimeout(ttl)
	}
	return max(ttl/12, 200*time.Millisecond)
}

// Read sends a request that changes nothing: to one member after the other. The client takes the members in
// turn, and a silent one should not cost a lease, or the lock to a waiter whose turn it is. The error is
// classified.
func Read[T any](ctx context.Context, c *Conn, ttl time.Duration, ask func(context.Context) (T, error)) (answer T, err error) {
	bounded := c.Bound(ctx, driver.RequestTimeout(ttl))
	defer bounded.End()
	for pause := ttl / 256; ; pause *= 2 {
		once, end := context.WithCancel(bounded)
		late := time.AfterFunc(c.MemberTimeout(ttl), end)
		answer, err = ask(once)
		late.Stop()
		end()
		if err == nil {
			return answer, nil
		}
		if err = c.RequestError(ctx, err); !errors.Is(err, driver.ErrUnavailable) || !Sleep(bounded, pause) {
			return answer, err
		}
	}
}

// Sleep waits for d. It returns false if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Txn is a transaction that may go to the server together with others.
type Txn struct {
	Request *pb.TxnRequest
	Timeout time.Duration // where it goes together with others, for nobody's context
}

// Commit sends a transaction about one lock and returns its answer: by itself while there are few of them, as
// a part of one transaction when there are many. Each write of Raft costs the cluster about the same,
// whatever is in it. If ctx ends first it may be carried out all the same.
//
// Two transactions that go together are never about the same lock. The server evaluates
// all conditions before it carries out anything, and gives everything that it makes
// the same revision; so they would not see each other, and have the same token.
func (c *Conn) Commit(ctx context.Context, lock string, t Txn) (*pb.TxnResponse, error) {
	return c.batch.Do(ctx, lock, t)
}

// commit sends one transaction. A member that has lost the others refuses it, and has not
// passed it on: so it is sent again, to the next. So it is where the servers do not know yet what they have
// changed about users, and where a member has no vote, if there are others.
func (c *Conn) commit(ctx context.Context, t Txn) (*pb.TxnResponse, error) {
	for pause := time.Millisecond; ; pause *= 2 {
		answer, err := c.txn(ctx, t.Request)
		if err == nil || !c.refusedForNow(err) || !Sleep(ctx, pause) {
			return answer, err
		}
	}
}

// errIncomplete leaves the outcome unknown.
var errIncomplete = errors.New("etcd: the answer to several transactions has not one for each")

func (c *Conn) refusedForNow(err error) bool {
	return isOneOf(err, rpctypes.ErrNoLeader, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision) ||
		errors.Is(err, errLearner) && len(c.Client.Endpoints()) > 1
}

func (c *Conn) commitTogether(parts []Txn) ([]*pb.TxnResponse, error) {
	all := parts[0]
	if len(parts) > 1 {
		all = Txn{Request: &pb.TxnRequest{Success: make([]*pb.RequestOp, len(parts))}}
		for i, p := range parts {
			all.Request.Success[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: p.Request}}
			all.Timeout = max(all.Timeout, p.Timeout)
		}
	}
	ctx, cancel := context.WithTimeout(c.closing, all.Timeout)
	defer cancel()
	sent := c.outgoing(ctx)
	answer, err := c.commit(&sent, all)
	if errors.Is(err, rpctypes.ErrTooManyOps) {
		c.batch.Lower(len(parts) / 2)
	}
	if err != nil || len(parts) == 1 {
		return []*pb.TxnResponse{answer}, err
	}
	answers := make([]*pb.TxnResponse, len(parts))
	for i := range parts {
		if i < len(answer.Responses) {
			answers[i] = answer.Responses[i].GetResponseTxn()
		}
		if answers[i] == nil { // something on the way speaks for the server
			return nil, errIncomplete
		}
		answers[i].Header = answer.Header
	}
	return answers, nil
}
