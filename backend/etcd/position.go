package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver/attempts"
)

const (
	// maxReadAge is the greatest age of a position by which a lock may be granted. An older
	// one says too little of whether our own key is still there.
	maxReadAge = 500 * time.Millisecond

	// maxWatched is how many predecessors are watched: the next one, which will hand the lock
	// on; and the one before that. The end of that one tells that the next one may hold the
	// lock now, in time to find out before the next one lets go.
	maxWatched = 2

	// deletionWait is how long an attempt waits for the answer to the deletion of the claim
	// before its own. The deletion was sent at about the same time, so the answer comes now,
	// or something is wrong.
	deletionWait = 10 * time.Millisecond
)

// predecessor is a claim that is older than ours.
type predecessor struct {
	name     string
	revision int64 // that created it
}

// predecessors are the claims before ours, as far as we know: the nearest ones, nearest first,
// as the last read saw them, without those whose deletion was reported since.
type predecessors struct {
	claims []predecessor
	more   bool      // there were more than these
	readAt time.Time // just before the read was sent
}

// removed notes that a name was deleted, at a revision. It reports whether that was one of the
// predecessors.
//
// Names are used again, and a member that is behind tells of the past: the deletion of
// an earlier claim of that name says nothing. A deletion after the creation of the claim that
// we saw was of that claim, for a name is one claim's at a time.
func (p *predecessors) removed(name string, revision int64) bool {
	for i, o := range p.claims {
		if o.name == name && revision > o.revision {
			p.claims = append(p.claims[:i:i], p.claims[i+1:]...)
			return true
		}
	}
	return false
}

// empty reports whether nobody is before the claim any more, so that the claim holds the
// lock, without another read.
//
// The last read saw all claims older than ours, or said that there were more. Since
// then none can have come, as revisions rise; and the deletion of each was reported.
// So it does not matter in which order the reports arrived, or how old the read is.
// Its age matters to our own claim, which the read saw, too. Our lease is looked after
// by time, see grant. But somebody may have deleted our key by hand: the next read, or the next
// renewal, finds that out, and the bound on the age limits how long ago it can have been.
func (p *predecessors) empty(now time.Time, ttl time.Duration) bool {
	return len(p.claims) == 0 && !p.more && now.Sub(p.readAt) < min(maxReadAge, ttl/12)
}

// position is where a claim is in the queue.
type position struct {
	predecessors
	revision int64 // of the server's data at that time
}

func (p *position) first() bool { return len(p.claims) == 0 && !p.more }

// readPosition asks where a claim is in the queue, by data not older than a revision.
//
// Any member may answer, without asking the others, and grant the lock by that answer. For
// once a claim is first it stays first: claims are only ever deleted, or
// made with a higher revision. And data that has our claim is not older than
// our claim, so that an older claim can be missing in it only because it was deleted. What
// the data may not tell is that our own claim has just gone; the time of the lease covers
// that, as for any holder.
//
// With byQuorum set a majority answers: a member that is cut off from the others, or a proxy,
// which keeps such answers, would say the same again and again.
func (q *queue) readPosition(ctx context.Context, a *attempt, revision int64, byQuorum bool) (p position, err error) {
	var own bool
	claim, _, _ := q.registry.look(a)
	if !byQuorum {
		p, own, err = q.readPositionOnce(ctx, a, claim, clientv3.WithSerializable())
	}
	if byQuorum || err == nil && (!own || p.revision < revision) { // this member is behind, or our claim is gone
		p, own, err = q.readPositionOnce(ctx, a, claim)
	}
	switch {
	case err != nil:
		return position{}, err
	case !own:
		return position{}, q.registry.sawNoClaim(a, claim)
	}
	return p, nil
}

func (q *queue) readPositionOnce(ctx context.Context, a *attempt, claim int64, opts ...clientv3.OpOption) (p position, own bool, err error) {
	opts = append(opts, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMaxCreateRev(claim),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortDescend), clientv3.WithLimit(1+maxWatched))
	p.readAt = time.Now()
	answer, err := cluster.Read(ctx, q.conn, a.session.TTL, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return q.conn.Client.Get(ctx, q.ns.prefix(a.Key), opts...)
	})
	if err != nil {
		return position{}, false, err
	}
	p.revision = answer.Header.Revision
	if claim == 0 || len(answer.Kvs) == 0 || answer.Kvs[0].CreateRevision != claim {
		return p, false, nil
	}
	p.more = answer.More
	for _, kv := range answer.Kvs[1:] {
		p.claims = append(p.claims, predecessor{string(kv.Key), kv.CreateRevision})
	}
	return p, true, nil
}

// localPredecessor returns an attempt of this client, of the same lock and session, whose claim
// was made before that of a; nil if there is none. It is the holder's where many callers of a
// client want one lock, of which one at a time is in the queue. There may be others before it.
// Its claim has one of the first two names unless clients other than the core use the backend.
func (q *queue) localPredecessor(a *attempt) *attempt {
	first := withoutNumber(a.name)
	var space [128]byte
	next := append(append(space[:0], first...), ".1"...) // nextName(first, 1), on the stack
	q.registry.mu.Lock()
	defer q.registry.mu.Unlock()
	for _, w := range [...]*attempt{q.registry.names[first], q.registry.names[string(next)]} {
		if w != nil && w != a && w.revision != 0 {
			return w
		}
	}
	return nil
}

// isNext reports whether the deletion of prev made a the head of the queue, where a had exactly
// one claim before it when its own was made. The revision in the answer to our own deletion of
// prev tells; no read is needed.
//
// If prev was deleted at a later revision than that which made a's claim, prev was there when
// that claim was made, and so prev was the one that was counted. The deletion was conditional on
// the revision that had made prev, so it was no other's. If prev was deleted earlier it was not
// counted, and another was; if prev is still held, or nobody knows yet, the wait begins with a
// read, as any.
func (q *queue) isNext(ctx context.Context, a, prev *attempt) bool {
	q.registry.mu.Lock()
	if prev.deletedAt == 0 && prev.Phase() >= attempts.Ending && !prev.deletionKnown {
		if prev.onDeletion == nil {
			prev.onDeletion = make(chan struct{})
		}
		known := prev.onDeletion
		q.registry.mu.Unlock()
		late := time.NewTimer(deletionWait)
		defer late.Stop()
		select {
		case <-known:
		case <-late.C:
		case <-ctx.Done():
		}
		q.registry.mu.Lock()
	}
	defer q.registry.mu.Unlock()
	return a.revision != 0 && prev.deletedAt > a.revision
}
