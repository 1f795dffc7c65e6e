package cluster

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// Bound returns a context for one request: it ends with ctx, after the timeout, or
// when the connection is closed. A member that is cut off from the others refuses the
// request, and does not keep it until then: the client, or we, go on to the next.
func (c *Conn) Bound(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(NoDeadline{ctx}))
	late := time.AfterFunc(timeout, cancel)
	stop := context.AfterFunc(c.closing, cancel)
	return ctx, func() {
		late.Stop()
		stop()
		cancel()
	}
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
	bounded, cancel := c.Bound(ctx, driver.RequestTimeout(ttl))
	defer cancel()
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
	Conditions []clientv3.Cmp
	Then       []clientv3.Op
	Timeout    time.Duration // where it goes together with others, for nobody's context
}

// Commit sends a transaction about one lock and returns its answer: by itself while there are few of them, as
// a part of one transaction when there are many. Each write of Raft costs the cluster about the same,
// whatever is in it. If ctx ends first it may be carried out all the same.
//
// Two transactions that go together are never about the same lock. The server evaluates
// all conditions before it carries out anything, and gives everything that it makes
// the same revision; so they would not see each other, and have the same token.
func (c *Conn) Commit(ctx context.Context, lock string, t Txn) (*clientv3.TxnResponse, error) {
	return c.batch.Do(ctx, lock, t)
}

// commit sends one transaction. A member that has lost the others refuses it, and has not
// passed it on: so it is sent again, to the next.
func (c *Conn) commit(ctx context.Context, t Txn) (*clientv3.TxnResponse, error) {
	for pause := time.Millisecond; ; pause *= 2 {
		answer, err := c.Client.Txn(ctx).If(t.Conditions...).Then(t.Then...).Commit()
		if !errors.Is(err, rpctypes.ErrNoLeader) || !Sleep(ctx, pause) {
			return answer, err
		}
	}
}

func (c *Conn) commitTogether(parts []Txn) ([]*clientv3.TxnResponse, error) {
	all := parts[0]
	if len(parts) > 1 {
		all = Txn{Then: make([]clientv3.Op, len(parts))}
		for i, p := range parts {
			all.Then[i] = clientv3.OpTxn(p.Conditions, p.Then, nil)
			all.Timeout = max(all.Timeout, p.Timeout)
		}
	}
	ctx, cancel := context.WithTimeout(c.closing, all.Timeout)
	defer cancel()
	answer, err := c.commit(clientv3.WithRequireLeader(NoDeadline{ctx}), all)
	if errors.Is(err, rpctypes.ErrTooManyOps) {
		c.batch.Lower(len(parts) / 2)
	}
	if err != nil || len(parts) == 1 {
		return []*clientv3.TxnResponse{answer}, err
	}
	answers := make([]*clientv3.TxnResponse, len(parts))
	for i := range parts {
		own := answer.Responses[i].GetResponseTxn()
		answers[i] = &clientv3.TxnResponse{Header: answer.Header, Succeeded: own.Succeeded, Responses: own.Responses}
	}
	return answers, nil
}
