package zookeeper

import (
	"sync"

	"github.com/go-zookeeper/zk"
)

const (
	// maxInFlight is how many transactions of a session may be under way. Further ones wait, and
	// then go together. It is high enough that a few callers never wait for each other.
	maxInFlight = 4

	// maxBatchParts is how many parts go together at the most, and maxBatchBytes about how long
	// they are at the most. A server closes the connection of a client that sends more than its
	// jute.maxbuffer, which is 1 MB unless it is set.
	maxBatchParts = 64
	maxBatchBytes = 32 << 10

	// opBytes is about how long an operation is, but for paths, data and ACLs.
	opBytes = 64
)

// batch sends the transactions that make and delete the nodes of a session's claims: by
// themselves while there are few, as parts of one transaction when there are many. Each
// transaction costs the ensemble about the same, whatever is in it.
//
// Two creates for the same lock are never under way at the same time. In one transaction they
// would have the same token, since all nodes that it makes have its number; in two, the later one
// might come to be the first. A delete may be together with any other part: whether the server
// carries it out before or after a create, the claim that is left is the first.
//
// A part that waits is never taken back. The caller of commit is a task, which sees its request
// to the end although nobody may wait for it any more. So whatever a cancellation finds, a part
// that waits or one that is under way, the removal of the claim comes after it, as it does
// without a batch: see createNode.
type batch struct {
	session *session

	mu       sync.Mutex
	inFlight int
	creating map[string]bool // the locks of the creates that are under way
	waiting  []*part
}

// part is the transaction of one claim.
type part struct {
	lock     string // the path of the lock for which it makes a claim's node; "" if it makes none
	ops      []any
	separate bool          // the server may well refuse it: it goes by itself, at once
	done     chan struct{} // closed when it is answered; nil if it did not wait
	answer   []zk.MultiResponse
	err      error
}

// commit sends a transaction and returns its answer, one for each of its operations.
func (q *batch) commit(p *part) ([]zk.MultiResponse, error) {
	if p.separate {
		q.send(p)
		return p.answer, p.err
	}
	q.mu.Lock()
	if q.inFlight < maxInFlight && q.startLocked(p) {
		q.inFlight++
		q.mu.Unlock()
		q.send(p)
		q.complete(p)
		return p.answer, p.err
	}
	p.done = make(chan struct{})
	q.waiting = append(q.waiting, p)
	q.mu.Unlock()
	<-p.done // it will be: what is under way is answered, or fails with its connection
	return p.answer, p.err
}

// startLocked reports whether a part may go now, and notes its create if so. Call with mu held.
func (q *batch) startLocked(p *part) bool {
	if q.creating[p.lock] {
		return false
	}
	if p.lock != "" {
		q.creating[p.lock] = true
	}
	return true
}

// complete notes that a transaction has been answered, and sends parts that wait. A task calls
// it, or what complete itself has started; so the backend still counts what runs. A part that
// waits behind a create of the same lock is sent when that is answered, at the latest.
func (q *batch) complete(landed ...*part) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range landed {
		delete(q.creating, p.lock)
	}
	parts := q.takeLocked()
	if len(parts) == 0 {
		q.inFlight--
		return
	}
	q.session.backend.running.Go(func() {
		q.sendTogether(parts)
		q.complete(parts...)
	})
}

// takeLocked removes the first of the waiting parts that may go, and returns them. Call with mu
// held.
func (q *batch) takeLocked() (parts []*part) {
	var rest []*part
	bytes := 0
	for i, p := range q.waiting {
		n := p.bytes()
		if len(parts) == maxBatchParts || len(parts) > 0 && bytes+n > maxBatchBytes {
			rest = append(rest, q.waiting[i:]...)
			break
		}
		if !q.startLocked(p) {
			rest = append(rest, p)
			continue
		}
		bytes += n
		parts = append(parts, p)
	}
	q.waiting = rest
	return parts
}

// sendTogether sends parts as one transaction. If the server refuses one of them, it refuses all,
// and carries out nothing. Then each goes by itself, so that nobody suffers from another's.
func (q *batch) sendTogether(parts []*part) {
	var all []any
	for _, p := range parts {
		all = append(all, p.ops...)
	}
	answers, err := q.session.transact(all)
	if len(parts) > 1 && answered(err) {
		var sending sync.WaitGroup
		for _, p := range parts {
			sending.Go(func() {
				q.send(p)
				close(p.done)
			})
		}
		sending.Wait()
		return
	}
	for _, p := range parts {
		if p.err = err; err == nil {
			p.answer, answers = answers[:len(p.ops)], answers[len(p.ops):]
		}
		close(p.done)
	}
}

func (q *batch) send(p *part) { p.answer, p.err = q.session.transact(p.ops) }

// bytes is about how long a part is in a request.
func (p *part) bytes() (n int) {
	for _, op := range p.ops {
		n += opBytes
		switch op := op.(type) {
		case *zk.CreateRequest:
			n += len(op.Path) + len(op.Data)
			for _, a := range op.Acl {
				n += 12 + len(a.Scheme) + len(a.ID)
			}
		case *zk.SetDataRequest:
			n += len(op.Path) + len(op.Data)
		case *zk.DeleteRequest:
			n += len(op.Path)
		}
	}
	return n
}
