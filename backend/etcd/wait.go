package etcd

import (
	"context"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// queue tells when it is an attempt's turn.
type queue struct {
	conn     *cluster.Conn
	ns       namespace
	registry *registry
}

// wait returns nil when a claim has become the first of its lock.
//
// It watches the next older claim, which will hand off, and the one before that, so
// that a hand-off wakes two waiters however many there are: one to take the lock, the
// other to read its position. That one learns that nobody is before the next any more, which
// lets it take the lock in its turn as soon as the deletion is reported, without another request.
//
// The order is: start the watches, have them confirmed, and only then read whether
// those claims are still there. If one is deleted before its watch begins, the read
// sees it; if after, the watch tells. A watch that is given a revision to begin at
// would not need the read, but is served, once that revision is past, by a loop of the
// server that runs ten times a second.
//
// A read once in a third of the TTL, which a majority answers, is the net under it all:
// a member that hangs, or is cut off from the others, tells nothing. That read is also what confirms
// that the claim waits, in time for the TTL that was asked for, which may be less than the
// session's. A read that a member answers by itself confirms it only if its data is newer than
// that of the last: a member that is cut off would say the same again.
func (q *queue) wait(ctx context.Context, a *attempt, req driver.Request) error {
	s := a.session
	var w watches
	defer func() { w.end() }()
	var seen int64                        // revision of the server's data that we know of
	confirmed, _, _ := q.registry.look(a) // and of that which confirmed that we wait
	pace := min(s.TTL, req.TTL) / 3
	next := time.NewTimer(0)
	defer next.Stop()
	byQuorum := false // the next read is the net
	for failures := 0; ; {
		p, err := q.readPosition(ctx, a, seen, byQuorum)
		if err != nil || p.first() {
			return err
		}
		if byQuorum || p.revision > confirmed {
			req.Waiting()
		}
		confirmed = max(confirmed, p.revision)
		w = q.updateWatches(ctx, w, p.claims, s.TTL/3)
		seen = max(seen, p.revision)
		byQuorum = false
		next.Reset(pace - rand.N(pace/8+1))
		for readAgain := false; !readAgain; {
			var r clientv3.WatchResponse
			var open bool
			var from *watch
			select {
			case r, open = <-w[0].events:
				from = &w[0]
			case r, open = <-w[1].events:
				from = &w[1]
			case <-next.C:
				readAgain, byQuorum = true, true
				continue
			case <-s.Dead():
				return session.ErrGone
			case <-q.conn.Closing().Done():
				return cluster.ErrClosed
			case <-ctx.Done():
				// A hand-off at this moment is not noticed: the core releases the
				// attempt, and with it the lock that it may have got.
				return context.Cause(ctx)
			}
			switch {
			case !open || r.Err() != nil:
				// Compacted, cancelled, without a leader: another watch, soon.
				q.conn.WatchEnded(from.stream, r.Err())
				from.end()
				*from = watch{}
				failures++
				next.Reset(min(5*time.Millisecond<<min(failures, 8), s.TTL/3))
			case r.Created:
				failures = 0
				from.confirmed = true
				seen = max(seen, r.Header.Revision)
				// If the read saw what the watch begins with, nothing is between them.
				readAgain = w.confirmed() && p.revision < seen
			default:
				for _, e := range r.Events {
					seen = max(seen, e.Kv.ModRevision)
					readAgain = p.removed(string(e.Kv.Key), e.Kv.ModRevision) || readAgain
				}
				if p.empty(time.Now(), s.TTL) {
					// If the session dies, or an operator evicts us, before this is
					// seen, grant sees it; if after, it finds a grant, and says so.
					return nil
				}
			}
		}
	}
}

// watch tells of the deletion of one claim.
type watch struct {
	name      string
	events    clientv3.WatchChan // nil: none
	stream    int64              // that it was begun on; see cluster.Conn.WatchContext
	confirmed bool
	stop      func()
}

// watches are those of the nearest predecessors.
type watches [maxWatched]watch

// updateWatches keeps the watches of claims, begins those that are missing, and ends the
// others.
func (q *queue) updateWatches(ctx context.Context, old watches, claims []predecessor, timeout time.Duration) (all watches) {
	for i, o := range claims {
		for j := range old {
			if old[j].name == o.name {
				all[i], old[j] = old[j], watch{}
			}
		}
	}
	old.end()
	for i, o := range claims {
		if all[i].events == nil {
			all[i] = q.watch(ctx, o.name, timeout)
		}
	}
	return all
}

// confirmed reports whether the server has confirmed all that there are.
func (all *watches) confirmed() bool {
	for _, w := range all {
		if w.events != nil && !w.confirmed {
			return false
		}
	}
	return true
}

func (all *watches) end() {
	for _, w := range all {
		w.end()
	}
}

// watch begins to watch a claim, and gives up if the server does not confirm it in
// time. All watches of a client share one stream, as a rule: their context is the
// connection's.
func (q *queue) watch(ctx context.Context, name string, timeout time.Duration) watch {
	watching, stream := q.conn.WatchContext(q.conn.Closing())
	watching, cancel := context.WithCancel(watching)
	stop := context.AfterFunc(ctx, cancel)
	late := time.AfterFunc(timeout, cancel)
	defer late.Stop()
	return watch{
		name: name, stream: stream,
		events: q.conn.Client.Watch(watching, name, clientv3.WithCreatedNotify(), clientv3.WithFilterPut()), //nolint:contextcheck // the connection's, as it says
		stop: func() {
			stop()
			cancel()
		},
	}
}

func (w watch) end() {
	if w.stop != nil {
		w.stop()
	}
}
