package etcd

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// bound returns a context for one request: it ends with ctx, after the timeout, or
// when the backend is closed. A member that is cut off from the others refuses the
// request, and does not keep it until then: the client, or we, go on to the next.
func (b *backend) bound(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(noDeadline{ctx}))
	late := time.AfterFunc(timeout, cancel)
	stop := context.AfterFunc(b.closing, cancel)
	return ctx, func() {
		late.Stop()
		stop()
		cancel()
	}
}

// noDeadline ends when its context does, and hides when that will be. A deadline
// travels with the request, as a header that differs each time, and costs the server
// a timer, though the client gives the request up by itself.
type noDeadline struct{ context.Context }

// Deadline says that there is none.
func (noDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// memberTimeout is how long one member has to answer before the next is asked. A member has the time
// of the whole request in three cases: there are no others; the application's own client has a
// password, and may have to log in first, which it does inside that time; and behind a proxy, which
// answers in its own time.
func (b *backend) memberTimeout(ttl time.Duration) time.Duration {
	if b.fullTimeout {
		return driver.RequestTimeout(ttl)
	}
	return max(ttl/12, 200*time.Millisecond)
}

// read sends a request that changes nothing: to one member after the other. The client takes the
// members in turn, and a silent one should not cost a lease, or the lock to a waiter whose turn it is.
// The error is classified.
func read[T any](ctx context.Context, b *backend, ttl time.Duration, ask func(context.Context) (T, error)) (answer T, err error) {
	bounded, cancel := b.bound(ctx, driver.RequestTimeout(ttl))
	defer cancel()
	for pause := ttl / 256; ; pause *= 2 {
		once, end := context.WithCancel(bounded)
		late := time.AfterFunc(b.memberTimeout(ttl), end)
		answer, err = ask(once)
		late.Stop()
		end()
		if err == nil {
			return answer, nil
		}
		if err = b.requestError(ctx, err); !errors.Is(err, driver.ErrUnavailable) || !sleep(bounded, pause) {
			return answer, err
		}
	}
}

// sleep waits for d. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

const (
	// maxInFlight is how many transactions of a client are under way before further ones
	// wait, and then go together: so many that a few callers never wait for each other.
	maxInFlight = 4
	// maxBatch is how many go together at the most; fewer where a server allows fewer than
	// the usual 128 operations in a transaction.
	maxBatch = 64
)

// batch sends the transactions that make and delete claims: by themselves while there
// are few, as parts of one transaction when there are many. Each write of Raft costs
// the cluster about the same, whatever is in it.
//
// Two transactions that go together are never about the same lock. The server evaluates
// all conditions before it carries out anything, and gives everything that it makes
// the same revision; so they would not see each other, and have the same token.
type batch struct {
	client  *clientv3.Client
	closing context.Context

	mu       sync.Mutex
	inFlight int
	maxTxns  int // that the server takes together
	waiting  []*pendingTxn
	running  sync.WaitGroup
}

// pendingTxn is one transaction, which may wait to go with others.
type pendingTxn struct {
	key        string // of the lock
	conditions []clientv3.Cmp
	then       []clientv3.Op
	timeout    time.Duration
	done       chan struct{}
	answer     *clientv3.TxnResponse
	err        error
}

// commit sends a transaction and returns its answer. If ctx ends first it may be
// carried out all the same.
func (q *batch) commit(ctx context.Context, p *pendingTxn) (*clientv3.TxnResponse, error) {
	q.mu.Lock()
	if q.inFlight < maxInFlight {
		q.inFlight++
		q.mu.Unlock()
		defer q.finish() //nolint:contextcheck // sends what is others'
		return q.ask(ctx, p.conditions, p.then)
	}
	p.done = make(chan struct{})
	q.waiting = append(q.waiting, p)
	q.mu.Unlock()
	select {
	case <-p.done:
		return p.answer, p.err
	case <-ctx.Done():
		// If it still waits, it is not sent; if it has just been taken, it is. The
		// caller cannot tell, and need not: it has to reckon with both.
		q.mu.Lock()
		q.waiting = slices.DeleteFunc(q.waiting, func(other *pendingTxn) bool { return other == p })
		q.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// finish notes that a transaction has been answered, and sends those that wait.
func (q *batch) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	parts := q.take()
	switch {
	case len(parts) == 0:
		q.inFlight--
		return
	case q.closing.Err() != nil:
		for _, p := range append(parts, q.waiting...) {
			p.err = errClosed
			close(p.done)
		}
		q.waiting = nil
		q.inFlight--
		return
	}
	q.running.Go(func() {
		defer q.finish()
		q.send(parts)
	})
}

// wait returns when nothing is under way any more. Called when closing has ended.
func (q *batch) wait() {
	q.mu.Lock() // from here on finish starts nothing
	defer q.running.Wait()
	q.mu.Unlock()
}

// take returns the first of those that wait, each about another lock. Called with mu
// held.
func (q *batch) take() (parts []*pendingTxn) {
	locks := make(map[string]bool)
	var rest []*pendingTxn
	for i, p := range q.waiting {
		if len(parts) == q.maxTxns {
			rest = append(rest, q.waiting[i:]...)
			break
		}
		if locks[p.key] {
			rest = append(rest, p)
			continue
		}
		locks[p.key] = true
		parts = append(parts, p)
	}
	q.waiting = rest
	return parts
}

// ask sends one transaction. A member that has lost the others refuses it, and has not
// passed it on: so it is sent again, to the next.
func (q *batch) ask(ctx context.Context, conditions []clientv3.Cmp, then []clientv3.Op) (*clientv3.TxnResponse, error) {
	for pause := time.Millisecond; ; pause *= 2 {
		answer, err := q.client.Txn(ctx).If(conditions...).Then(then...).Commit()
		if !errors.Is(err, rpctypes.ErrNoLeader) || !sleep(ctx, pause) {
			return answer, err
		}
	}
}

// send sends parts as one transaction. If the server refuses it, it has carried out
// nothing, and each goes by itself, so that nobody suffers from another's.
func (q *batch) send(parts []*pendingTxn) {
	if len(parts) > 1 {
		if err := q.sendTogether(parts); err == nil || !isPermanent(err) && !leaseGone(err) {
			return
		}
	}
	for _, p := range parts {
		ctx, cancel := context.WithTimeout(q.closing, p.timeout)
		p.answer, p.err = q.ask(clientv3.WithRequireLeader(noDeadline{ctx}), p.conditions, p.then)
		cancel()
		close(p.done)
	}
}

func (q *batch) sendTogether(parts []*pendingTxn) error {
	ops := make([]clientv3.Op, len(parts))
	var timeout time.Duration
	for i, p := range parts {
		ops[i] = clientv3.OpTxn(p.conditions, p.then, nil)
		timeout = max(timeout, p.timeout)
	}
	ctx, cancel := context.WithTimeout(q.closing, timeout)
	defer cancel()
	answer, err := q.ask(clientv3.WithRequireLeader(noDeadline{ctx}), nil, ops)
	if errors.Is(err, rpctypes.ErrTooManyOps) {
		q.mu.Lock()
		q.maxTxns = max(len(parts)/2, 1)
		q.mu.Unlock()
	}
	if isPermanent(err) || leaseGone(err) {
		return err
	}
	for i, p := range parts {
		if p.err = err; err == nil {
			own := answer.Responses[i].GetResponseTxn()
			p.answer = &clientv3.TxnResponse{Header: answer.Header, Succeeded: own.Succeeded, Responses: own.Responses}
		}
		close(p.done)
	}
	return err
}
