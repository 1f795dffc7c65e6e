package etcd

import (
	"context"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// await returns nil when a claim has become the first of its lock.
//
// It watches the next older claim, and no other, so that a hand-over wakes one
// waiter. The order is: start the watch, have it confirmed, and only then look
// whether that claim is still there. If it is deleted before the watch begins, the
// look sees it; if after, the watch tells. A watch that is told a revision to begin
// at would not need the look, but is served, once that revision is past, by a loop
// of the server that runs ten times a second.
//
// A look once in a third of the TTL is the net under it all: a member that hangs,
// or is cut off from the others, tells nothing.
func (b *backend) await(ctx context.Context, c *claim, s *session) error {
	var w watch
	defer func() { w.end() }()
	var seen int64 // revision of the server's data that we know of
	next := time.NewTimer(0)
	defer next.Stop()
	for failures := 0; ; {
		p, err := b.look(ctx, c, s, seen)
		switch {
		case err != nil || p.first:
			return err
		case w.name != p.before:
			w.end()
			w = b.watch(ctx, p.before, s.ttl/3)
		}
		seen = max(seen, p.revision)
		next.Reset(s.ttl/3 - rand.N(s.ttl/24+1))
		for news := false; !news; {
			select {
			case r, open := <-w.events:
				switch {
				case !open || r.Err() != nil:
					// Compacted, cancelled, without a leader: another one, soon.
					w.end()
					w = watch{}
					failures++
					next.Reset(min(5*time.Millisecond<<min(failures, 8), s.ttl/3))
				case r.Created:
					failures = 0
					seen, news = max(seen, r.Header.Revision), true
				default:
					for _, e := range r.Events {
						seen = max(seen, e.Kv.ModRevision)
					}
					news = true
				}
			case <-next.C:
				news = true
			case <-s.dead:
				return errSessionGone
			case <-b.closing.Done():
				return errClosed
			case <-ctx.Done():
				// A hand-over at this moment is not noticed: the core releases the
				// owner, and with it the lock that it may have got.
				return context.Cause(ctx)
			}
		}
	}
}

// watch tells of the deletion of one claim.
type watch struct {
	name   string
	events clientv3.WatchChan // nil: none
	stop   func()
}

// watch begins to watch a claim, and gives up if the server does not confirm it in
// time. All watches of a client share one stream: their context is the backend's,
// as the client makes a stream for each kind of context.
func (b *backend) watch(ctx context.Context, name string, timeout time.Duration) watch {
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(b.closing))
	stop := context.AfterFunc(ctx, cancel)
	late := time.AfterFunc(timeout, cancel)
	defer late.Stop()
	return watch{
		name:   name,
		events: b.client.Watch(watching, name, clientv3.WithCreatedNotify(), clientv3.WithFilterPut()), //nolint:contextcheck // the backend's, as it says
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
