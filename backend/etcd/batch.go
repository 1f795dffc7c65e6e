package etcd

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// flights is how many transactions of a client are under way before further ones
	// wait, and then go together: so many that a few callers never wait for each other.
	flights = 4
	// togetherMost is the most that go together; fewer where a server allows fewer than
	// the usual 128 operations in a transaction.
	togetherMost = 64
)

// batch sends the transactions that make and delete claims: by themselves while there
// are few, as parts of one transaction when there are many. Each write of Raft costs
// the cluster about the same, whatever is in it.
//
// Two parts of one transaction are never about the same lock. The server evaluates
// all conditions before it carries out anything, and gives everything that it makes
// the same revision; so they would not see each other, and have the same token.
type batch struct {
	client  *clientv3.Client
	closing context.Context

	mu      sync.Mutex
	flying  int
	most    int // that the server takes together
	waiting []*part
	running sync.WaitGroup
}

// part is one transaction.
type part struct {
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
func (q *batch) commit(ctx context.Context, p *part) (*clientv3.TxnResponse, error) {
	q.mu.Lock()
	if q.flying < flights {
		q.flying++
		q.mu.Unlock()
		defer q.land() //nolint:contextcheck // sends what is others'
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
		q.waiting = slices.DeleteFunc(q.waiting, func(other *part) bool { return other == p })
		q.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// land notes that a transaction has been answered, and sends those that wait.
func (q *batch) land() {
	q.mu.Lock()
	defer q.mu.Unlock()
	parts := q.take()
	switch {
	case len(parts) == 0:
		q.flying--
		return
	case q.closing.Err() != nil:
		for _, p := range append(parts, q.waiting...) {
			p.err = errClosed
			close(p.done)
		}
		q.waiting = nil
		q.flying--
		return
	}
	q.running.Go(func() {
		defer q.land()
		q.send(parts)
	})
}

// wait returns when nothing is under way any more. Called when closing has ended.
func (q *batch) wait() {
	q.mu.Lock() // from here on land starts nothing
	defer q.running.Wait()
	q.mu.Unlock()
}

// take returns the first of those that wait, each about another lock. Called with mu
// held.
func (q *batch) take() (parts []*part) {
	locks := make(map[string]bool)
	var rest []*part
	for i, p := range q.waiting {
		if len(parts) == q.most {
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
func (q *batch) send(parts []*part) {
	if len(parts) > 1 {
		if err := q.sendTogether(parts); err == nil || !lasting(err) && !leaseGone(err) {
			return
		}
	}
	for _, p := range parts {
		ctx, cancel := context.WithTimeout(q.closing, p.timeout)
		p.answer, p.err = q.ask(clientv3.WithRequireLeader(undated{ctx}), p.conditions, p.then)
		cancel()
		close(p.done)
	}
}

func (q *batch) sendTogether(parts []*part) error {
	ops := make([]clientv3.Op, len(parts))
	var timeout time.Duration
	for i, p := range parts {
		ops[i] = clientv3.OpTxn(p.conditions, p.then, nil)
		timeout = max(timeout, p.timeout)
	}
	ctx, cancel := context.WithTimeout(q.closing, timeout)
	defer cancel()
	answer, err := q.ask(clientv3.WithRequireLeader(undated{ctx}), nil, ops)
	if errors.Is(err, rpctypes.ErrTooManyOps) {
		q.mu.Lock()
		q.most = max(len(parts)/2, 1)
		q.mu.Unlock()
	}
	if lasting(err) || leaseGone(err) {
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
