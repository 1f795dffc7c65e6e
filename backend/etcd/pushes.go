package etcd

import (
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/fencelock/fencelock/driver"
)

// listen watches the fence of a session, which tells of evictions and of the end of
// the lease, until the session is dead or the backend closed.
func (s *session) listen() {
	b := s.backend
	for failures := 0; ; failures++ {
		ctx, on := b.watchStream(s.listening)
		events := b.client.Watch(ctx, s.fence, clientv3.WithCreatedNotify())
		for r := range events {
			if err := r.Err(); err != nil {
				b.watchRefused(on, err)
				if code(err) == codes.PermissionDenied {
					b.contact.Warn("etcd refuses the watch by which evictions are told: they will be noticed by the next renewal", "err", err)
				}
				break
			}
			if r.Created {
				// What was told before it began is missed: look at all.
				failures = 0
				s.verify()
			}
			s.hear(r.Events)
		}
		if s.isDead() || !sleep(ctx, min(s.ttl/12, 10*time.Millisecond<<min(failures, 8))) {
			return
		}
	}
}

func (s *session) hear(events []*clientv3.Event) {
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			s.end(errGone)
			return
		}
		s.sawFence(e.Kv.ModRevision)
		if len(e.Kv.Value) > 0 {
			s.backend.lose(string(e.Kv.Value), driver.ErrEvicted)
		}
	}
}

// lose tells a holder, if it is one of ours and does not know.
func (b *backend) lose(owner string, why error) {
	b.mu.Lock()
	c := b.claims[owner]
	if c != nil && !c.granted {
		c.revision = 0 // a call of Acquire that is about to grant it notices
		c = nil
	}
	b.mu.Unlock()
	if c != nil {
		b.forget(c, why)
	}
}

// verify asks whether what this session holds is still there, and tells the holders
// of what is not.
func (s *session) verify() {
	b := s.backend
	var held []*claim
	b.mu.Lock()
	for _, c := range b.claims {
		if c.session == s && c.granted && !c.ending {
			held = append(held, c)
		}
	}
	b.mu.Unlock()
	for some := range slices.Chunk(held, checkTogether) {
		if _, err := b.check(b.closing, s, some); err != nil {
			return // the next renewal tells
		}
	}
}
