package session

import (
	"context"

	"github.com/go-zookeeper/zk"
)

const (
	// MaxBytes is about how long one transaction is at the most. A server closes the
	// connection of a client that sends more than its jute.maxbuffer, which is 1 MB unless it is set.
	MaxBytes = 32 << 10

	// OpBytes is about how long an operation is, but for paths, data and ACLs.
	OpBytes = 64

	// InFlight is how many transactions are under way before further parts wait. A server syncs all
	// that has come meanwhile together, so for a few callers to wait for each other would gain nothing;
	// beyond that, each transaction is work.
	InFlight = 8
)

// initBatch has transactions that make and delete nodes go by themselves while there are few, and
// as parts of one when there are many. Each transaction costs the ensemble about the same, whatever
// is in it.
//
// Two parts about the same lock are never under way at the same time. In one transaction two
// creates would have the same token, since all nodes that it makes have its number; in two, the
// later one might come to be the first. A delete may be together with any other part, and so is
// about "": whether the server carries it out before or after a create, the claim that is left is
// the first.
//
// The caller is a task, and its context is that of the pool: so before Close a part that waits is
// never taken back, although nobody may wait for it any more. Whatever a cancellation finds, a part
// that waits or one that is under way, the removal of the claim comes after it.
func (s *Session) initBatch() {
	q := &s.Batch
	q.Exclusive, q.InFlight = true, InFlight
	q.Alone = func(_ context.Context, ops []any) ([]zk.MultiResponse, error) { return s.Transact(ops) }
	q.Together = func(parts [][]any) ([][]zk.MultiResponse, error) {
		var all []any
		for _, ops := range parts {
			all = append(all, ops...)
		}
		answer, err := s.Transact(all)
		if err != nil {
			return nil, err
		}
		answers := make([][]zk.MultiResponse, len(parts))
		for i, ops := range parts {
			answers[i], answer = answer[:len(ops)], answer[len(ops):]
		}
		return answers, nil
	}
	q.Refused = Answered
	q.Go = func(f func()) {
		if !s.pool.goes(f) {
			f()
		}
	}
	q.Size, q.MaxSize = size, MaxBytes
}

// size is about how long operations are in a request.
func size(ops []any) (n int) {
	for _, op := range ops {
		n += OpBytes
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
