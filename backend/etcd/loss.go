package etcd

import (
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/fencelock/fencelock/driver"
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
			s.backend.reportLost(string(e.Kv.Value), driver.ErrEvicted)
		}
	}
}

// reportLost tells a holder that its lock is gone, if it is one of ours and does not know.
func (b *backend) reportLost(attemptID string, why error) {
	b.mu.Lock()
	a := b.attempts[attemptID]
	if a != nil && !a.granted {
		a.revision = 0 // a call of Acquire that is about to grant it notices
		a = nil
	}
	b.mu.Unlock()
	if a != nil {
		b.forget(a, why)
	}
}

// recheckHeld asks whether what this session holds is still there, and tells the holders
// of what is not.
func (s *session) recheckHeld() {
	b := s.backend
	var held []*attempt
	b.mu.Lock()
	for _, a := range b.attempts {
		if a.session == s && a.granted && !a.ending {
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

// forget removes an attempt whose claim is gone from the server for certain, and tells the
// holder, unless the holder knows it, having released the lock.
func (b *backend) forget(a *attempt, why error) {
	b.mu.Lock()
	lost := b.forgetLocked(a)
	b.mu.Unlock()
	if lost != nil {
		lost(why)
	}
}

// forgetLocked returns the function that tells the holder, or nil. Called with mu held.
func (b *backend) forgetLocked(a *attempt) (lost func(error)) {
	b.removeLocked(a)
	if !a.ending && a.granted {
		lost = a.lost
	}
	a.ending = true
	return lost
}

// removeLocked makes room for others of the same name.
func (b *backend) removeLocked(a *attempt) {
	if b.attempts[a.id] == a {
		delete(b.attempts, a.id)
		delete(b.names, a.name)
	}
}

// loseAll tells the holders of a session that has died, and returns how many. Attempts that wait stay:
// their calls of Acquire notice it and say so.
func (b *backend) loseAll(s *session, why error) (n int) {
	var tell []func(error)
	b.mu.Lock()
	for _, a := range b.attempts {
		if a.session != s || !a.granted && a.calls > 0 {
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
