package etcd

import (
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// watchEpoch watches the epoch key of a session, which tells of evictions and of the end of
// the lease, until the session is dead or the backend closed.
func (s *session) watchEpoch() {
	b := s.backend
	for failures := 0; ; failures++ {
		ctx, stream := b.watchStream(s.lifetime)
		events := b.client.Watch(ctx, s.epochKey, clientv3.WithCreatedNotify())
		for r := range events {
			if err := r.Err(); err != nil {
				b.noteWatchError(stream, err)
				if codeOf(err) == codes.PermissionDenied {
					b.contact.Warn("etcd refuses the watch by which evictions are told: they will be noticed by the next renewal", "err", err)
				}
				break
			}
			if r.Created {
				// The watch misses what happened before it began: ask about all.
				failures = 0
				s.recheckHeld()
			}
			s.onEpochEvents(r.Events)
		}
		if s.isDead() || !sleep(ctx, min(s.ttl/12, 10*time.Millisecond<<min(failures, 8))) {
			return
		}
	}
}

func (s *session) onEpochEvents(events []*clientv3.Event) {
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			s.end(errGone)
			return
		}
		s.sawEpoch(e.Kv.ModRevision)
		if len(e.Kv.Value) > 0 {
			s.evicted(string(e.Kv.Value))
		}
	}
}

// evicted tells a holder whose claim an operator has deleted. If the attempt does not hold yet, a call of Acquire
// that is about to grant it notices. A request that was to make the claim again makes nothing: the eviction has
// written to the epoch key.
func (s *session) evicted(attemptID string) {
	b := s.backend
	var held *attempt
	n := 0
	b.mu.Lock()
	for a := range b.ledger.WithID(attemptID) {
		switch {
		case a.session != s:
		case a.Phase() == attempts.Asking:
			a.revision = 0
			n++
		default:
			held = a
			n++
		}
	}
	b.mu.Unlock()
	switch {
	case n == 1 && held != nil:
		b.forget(held, driver.ErrEvicted)
	case n > 1: // on different keys, and one of them was evicted
		s.recheckHeld()
	}
}

// recheckHeld asks whether what this session holds is still there, and tells the holders
// of what is not.
func (s *session) recheckHeld() {
	b := s.backend
	var held []*attempt
	b.mu.Lock()
	for a := range b.ledger.All() {
		if a.session == s && a.Phase() == attempts.Held {
			held = append(held, a)
		}
	}
	b.mu.Unlock()
	for some := range slices.Chunk(held, maxCheck) {
		if _, err := b.check(b.closing, s, some); err != nil {
			return // the next renewal tells
		}
	}
}

// loseAll forgets the attempts of a session that has died, and tells the holders. It returns how many. Calls of
// Acquire notice the end by themselves, and the core asks again: for a fresh attempt, at the end of the
// queue.
func (b *backend) loseAll(s *session, why error) (n int) {
	var tell []func(error)
	b.mu.Lock()
	for a := range b.ledger.All() {
		if a.session != s {
			continue
		}
		if lost := b.forgetLocked(a); lost != nil {
			tell = append(tell, lost)
		}
	}
	b.mu.Unlock()
	for _, lost := range tell {
		lost(why)
	}
	return len(tell)
}
