package zookeeper

import (
	"sync"

	"github.com/go-zookeeper/zk"
)

const (
	// flights is how many transactions of a session are under way before further ones
	// wait, and then go together: so many that a few callers never wait for each other.
	maxInFlight = 4

	// togetherMost is the most that go together, and togetherBytes about the most that
	// they are long. A server closes the connection of who sends more than its
	// jute.maxbuffer, which is 1 MB unless it is set.
	maxBatchParts = 64
	maxBatchBytes = 32 << 10

	// opBytes is about how long an operation is, but for paths, data and ACLs.
	opBytes = 64
)

// batch sends the transactions that make and delete the nodes of a session's claims:
// by themselves while there are few, as parts of one when there are many. Each
// transaction costs the ensemble about the same, whatever is in it.
//
// Two creates for the same lock are never under way at the same time. In one
// transaction they would have the same token, since all nodes that it makes have its
// number; in two the later might come to be the first. A delete may be together with
// any: whether it is carried out before or after a create, who is left is the first.
//
// A part that waits is never taken back. Who calls commit is a task, which sees its
// request to the end although nobody may wait for it any more; so whatever a
// cancellation finds, a part that waits or one that is under way, the claim's removal
// comes after it, as it does without a batch: see createNode.
type batch struct {
	session *session

	mu       sync.Mutex
	inFlight int
	creating map[string]bool // the locks of the creates that are under way
	waiting  []*part
}

// part is the transaction of one claim.
type part struct {
	lock     string // for which it makes a claim's node, by its path; "" if it makes none
	ops      []any
	separate bool          // it may well be refused: it goes by itself, at once
	done     chan struct{} // closed when it is answered; nil if it did not wait
	answer   []zk.MultiResponse
	err      error
}

// commit sends a transaction and returns its answer, which is about as many operations
// as it has.
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
	<-p.done // which comes: what is under way is answered, or fails with its connection
	return p.answer, p.err
}

// startLocked reports whether a part may be under way from now on. Call with mu held.
func (q *batch) startLocked(p *part) bool {
	if q.creating[p.lock] {
		return false
	}
	if p.lock != "" {
		q.creating[p.lock] = true
	}
	return true
}

// land notes that a transaction has been answered, and sends those that wait. It is
// called by a task, or by what land has started; so the backend still counts what runs.
// What waits behind a create that is under way is sent when that lands, at the latest.
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

// takeLocked returns the first of those that wait and may go. Call with mu held.
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

// sendTogether sends parts as one transaction. One of them that the server refuses has
// it refuse all, and carry out nothing. Then each goes by itself, so that nobody
// suffers from another's.
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
