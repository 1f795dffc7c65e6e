package model

import (
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// claim is the record of a key, if it has not expired.
func (s *step) claim(key string) (Claim, bool) {
	c, ok := s.Claims[key]
	if ok && s.ms > c.Until {
		delete(s.Claims, key)
		return Claim{}, false
	}
	return c, ok
}

// has is the record of a key, and Done if it has this try.
func (s *step) has(key string, id wire.ID) (Claim, wire.Outcome) {
	c, held := s.claim(key)
	switch {
	case !held:
		return c, wire.None
	case c.ID != (wire.ID{AttemptID: id.AttemptID, Try: min(id.Try, maxNumber)}):
		return c, wire.Other
	}
	return c, wire.Done
}

func (c Claim) holder(ms int64) wire.Holder {
	return wire.Holder{ID: c.ID, Meta: c.Meta, Token: c.Token, Left: time.Duration(c.Until-ms) * time.Millisecond}
}

// ended reports whether a try was ended.
func (s *step) ended(key string, id wire.ID) bool {
	at := AttemptKey{id.AttemptID, key}
	t, ok := s.Tombstones[at]
	if ok && s.ms > t.Until {
		delete(s.Tombstones, at)
		return false
	}
	return ok && t.Try >= id.Try
}

// raise makes a key's counter a token at least. One that is missing begins at the clock.
func (s *step) raise(key string, token uint64) {
	shard := script.Shard(key)
	c, ok := s.Counters[shard]
	if !ok {
		c = uint64(s.us)
	}
	s.Counters[shard] = max(c, token)
}

// queue is who waits for a key, or nil.
func (s *step) queue(key string) *Waiters {
	q := s.Queues[key]
	if q != nil && s.ms > q.Until {
		delete(s.Queues, key)
		return nil
	}
	return q
}

// join puts the attempt in the queue, or has it stay there.
func (s *step) join(key string, id wire.ID, position uint64, channel string, ttl time.Duration) (at uint64, first bool) {
	until := s.ms + script.Milliseconds(ttl)
	q := s.queue(key)
	if q == nil {
		q = &Waiters{By: map[string]Waiter{}}
		s.Queues[key] = q
	}
	w, ok := q.By[id.AttemptID]
	if !ok {
		w.Position = position
		if w.Position == 0 {
			w.Position = uint64(s.us)
		}
	}
	w.Try, w.Channel, w.Deadline = id.Try, channel, until
	q.By[id.AttemptID] = w
	q.Until = max(q.Until, until)
	attemptID, _, _ := s.firstWaiter(key)
	return w.Position, attemptID == id.AttemptID
}

// leave takes an attempt out of the queue, unless it waits there for a higher try.
func (s *step) leave(key string, id wire.ID) {
	if q := s.queue(key); q != nil && q.By[id.AttemptID].Try <= id.Try {
		s.drop(key, id.AttemptID)
	}
}

func (s *step) drop(key, attemptID string) {
	q := s.Queues[key]
	if delete(q.By, attemptID); len(q.By) == 0 {
		delete(s.Queues, key)
	}
}

// firstWaiter is the first that lives; those before it, who have died, leave.
func (s *step) firstWaiter(key string) (attemptID string, w Waiter, ok bool) {
	for s.queue(key) != nil {
		attemptID, w = s.queue(key).head()
		if w.Deadline > s.ms {
			return attemptID, w, true
		}
		s.drop(key, attemptID)
	}
	return "", Waiter{}, false
}

// head is who has the lowest position; of equals, the one with the lower name.
func (q *Waiters) head() (attemptID string, first Waiter) {
	for o, w := range q.By {
		if attemptID == "" || w.Position < first.Position || w.Position == first.Position && o < attemptID {
			attemptID, first = o, w
		}
	}
	return attemptID, first
}

// wake takes the first waiter off the queue and tells it that the key may be free.
func (s *step) wake(key string) bool {
	attemptID, w, ok := s.firstWaiter(key)
	if !ok {
		return false
	}
	s.drop(key, attemptID)
	s.told = append(s.told, Told{w.Channel, wire.Notice{Kind: wire.Free, AttemptID: attemptID, Count: s.Counters[script.Shard(key)]}})
	return true
}
