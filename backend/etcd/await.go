package etcd

import (
	"context"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// await returns nil when a claim has become the first of its lock.
//
// It watches the next older claim, which will hand over, and the one before that, so
// that a hand-over wakes two waiters however many there are: one to take the lock, the
// other to look. What that one learns, that nobody is before the next any more, is what
// lets it take the lock in its turn as soon as it is told, without another request.
//
// The order is: start the watches, have them confirmed, and only then look whether
// those claims are still there. If one is deleted before its watch begins, the look
// sees it; if after, the watch tells. A watch that is told a revision to begin at
// would not need the look, but is served, once that revision is past, by a loop of the
// server that runs ten times a second.
//
// A look once in a third of the TTL, which a majority answers, is the net under it all:
// a member that hangs, or is cut off from the others, tells nothing. It is also what confirms
// that the claim waits, in time for the TTL that was asked for, which may be less than the
// session's. A look that a member answers by itself confirms it only if its data is newer than
// that of the last: one that is cut off would say the same again.
func (b *backend) await(ctx context.Context, c *claim, s *session, req driver.Request) error {
	var w watches
	defer func() { w.end() }()
	var seen int64 // revision of the server's data that we know of
	b.mu.Lock()
	confirmed := c.revision // and of that which confirmed that we wait
	b.mu.Unlock()
	pace := min(s.ttl, req.TTL) / 3
	next := time.NewTimer(0)
	defer next.Stop()
	sure := false // the next look is the net
	for failures := 0; ; {
		p, err := b.look(ctx, c, s, seen, sure)
		if err != nil || p.first() {
			return err
		}
		if sure || p.revision > confirmed {
			req.Waiting()
		}
		confirmed = max(confirmed, p.revision)
		w = b.follow(ctx, w, p.claims, s.ttl/3)
		seen = max(seen, p.revision)
		sure = false
		next.Reset(pace - rand.N(pace/8+1))
		for news := false; !news; {
			var r clientv3.WatchResponse
			var open bool
			var from *watch
			select {
			case r, open = <-w[0].events:
				from = &w[0]
			case r, open = <-w[1].events:
				from = &w[1]
			case <-next.C:
				news, sure = true, true
				continue
			case <-s.dead:
				return errSessionGone
			case <-b.closing.Done():
				return errClosed
			case <-ctx.Done():
				// A hand-over at this moment is not noticed: the core releases the
				// owner, and with it the lock that it may have got.
				return context.Cause(ctx)
			}
			switch {
			case !open || r.Err() != nil:
				// Compacted, cancelled, without a leader: another one, soon.
				b.watchRefused(from.on, r.Err())
				from.end()
				*from = watch{}
				failures++
				next.Reset(min(5*time.Millisecond<<min(failures, 8), s.ttl/3))
			case r.Created:
				failures = 0
				from.confirmed = true
				seen = max(seen, r.Header.Revision)
				// If the look saw what the watch begins with, nothing is between them.
				news = w.confirmed() && p.revision < seen
			default:
				for _, e := range r.Events {
					seen = max(seen, e.Kv.ModRevision)
					news = p.told(string(e.Kv.Key), e.Kv.ModRevision) || news
				}
				if p.none(time.Now(), s.ttl) {
					// If the session dies, or an operator evicts us, before this is
					// seen, grant sees it; if after, it finds a grant, and says so.
					return nil
				}
			}
		}
	}
}
