package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// ErrCounter is the reply, in place of another, of a node whose counter is at its end.
var ErrCounter = errors.New("the counter of tokens is at its end")

// maxNumber is a number beyond which Lua does not count.
const maxNumber = 1 << 53

// Do carries out a request. It returns the reply, by value, or an error in its place, and the notices
// that the node publishes. now is the true time, or whatever the node's Skew is counted from.
func (n *Node) Do(now time.Time, r wire.Request) (reply any, told []Told) {
	s := step{Node: n, us: now.Add(n.Skew).UnixMicro()}
	s.ms = s.us / 1000
	switch r := r.(type) {
	case wire.Take:
		reply = s.take(r)
	case wire.WriteBack:
		reply = s.writeBack(r)
	case wire.Renew:
		outcomes := make([]wire.Outcome, len(r.Leases))
		for i, l := range r.Leases {
			outcomes[i] = s.renew(l)
		}
		reply = wire.RenewReply{Outcomes: outcomes}
	case wire.Repair:
		reply = s.repair(r)
	case wire.End:
		reply = s.end(r)
	case wire.Look:
		reply = s.look(r)
	case wire.Scan:
		reply = s.scan(r)
	case wire.Holders:
		holders := make([]wire.Holder, len(r.Keys))
		for i, key := range r.Keys {
			holders[i] = s.look(wire.Look{Key: key}).Holder
		}
		reply = wire.HoldersReply{Holders: holders}
	default:
		panic(fmt.Sprintf("there is no %T", r))
	}
	return reply, s.told
}

// step is one script under way: time stands still in it.
type step struct {
	*Node
	us, ms int64 // by the node's clock
	told   []Told
}

func (s *step) take(r wire.Take) any {
	r.ID.Try = min(r.ID.Try, maxNumber)
	if s.ended(r.Key, r.ID) {
		return wire.TakeReply{Outcome: wire.Ended}
	}
	shard := script.Shard(r.Key)
	c, held := s.claim(r.Key)
	if held && c.ID.AttemptID == r.ID.AttemptID && c.ID.Try >= r.ID.Try {
		return wire.TakeReply{Outcome: wire.Ended}
	}
	ttl := script.Milliseconds(r.TTL)
	if held && c.ID.AttemptID != r.ID.AttemptID {
		return s.other(r, c)
	}
	if !r.Tokenless {
		count := uint64(s.us)
		if old, ok := s.Counters[shard]; ok {
			count = old + 1
		}
		if count = max(count, r.Floor); count >= maxNumber {
			return ErrCounter
		}
		s.Counters[shard] = count
	}
	count := s.Counters[shard]
	s.Claims[r.Key] = Claim{ID: r.ID, Channel: r.Channel, Token: count, TTL: ttl, Meta: r.Meta, Until: s.ms + ttl}
	if r.Position != 0 {
		s.leave(r.Key, r.ID)
	}
	return wire.TakeReply{Outcome: wire.Done, Count: count}
}

// other answers a take of a key that another attempt has.
func (s *step) other(r wire.Take, c Claim) wire.TakeReply {
	if c.Until-s.ms > c.TTL { // the clock was set back
		c.Until = s.ms + c.TTL
		s.Claims[r.Key] = c
	}
	reply := wire.TakeReply{Outcome: wire.Other, Count: s.Counters[script.Shard(r.Key)], Holder: c.holder(s.ms)}
	if r.Queue {
		reply.Position, reply.First = s.join(r.Key, r.ID, r.Position, r.Channel, r.TTL)
	}
	return reply
}

func (s *step) writeBack(r wire.WriteBack) wire.Reply {
	c, outcome := s.has(r.Key, r.ID)
	if outcome == wire.Done {
		s.raise(r.Key, r.Token)
		c.Token = r.Token
		s.Claims[r.Key] = c
	}
	return wire.Reply{Outcome: outcome}
}

func (s *step) renew(l wire.Lease) wire.Outcome {
	c, outcome := s.has(l.Key, l.ID)
	if outcome == wire.Done {
		if c.Token != l.Token && l.Token != 0 {
			s.raise(l.Key, l.Token)
		}
		c.Token, c.TTL = l.Token, script.Milliseconds(l.TTL)
		c.Until = s.ms + c.TTL
		s.Claims[l.Key] = c
	}
	return outcome
}

func (s *step) repair(r wire.Repair) wire.Reply {
	r.ID.Try = min(r.ID.Try, maxNumber)
	if s.ended(r.Key, r.ID) {
		return wire.Reply{Outcome: wire.Ended}
	}
	ttl := script.Milliseconds(r.TTL)
	life := ttl
	if c, held := s.claim(r.Key); held {
		switch {
		case c.ID.AttemptID != r.ID.AttemptID:
			return wire.Reply{Outcome: wire.Other}
		case c.ID.Try > r.ID.Try:
			return wire.Reply{Outcome: wire.Ended}
		case c.ID.Try == r.ID.Try:
			life = max(ttl, c.Until-s.ms)
			ttl = max(ttl, c.TTL)
			life = min(life, ttl)
		}
	}
	if r.Token != 0 {
		s.raise(r.Key, r.Token)
	}
	s.Claims[r.Key] = Claim{ID: r.ID, Channel: r.Channel, Token: r.Token, TTL: ttl, Meta: r.Meta, Until: s.ms + life}
	return wire.Reply{Outcome: wire.Done}
}

func (s *step) end(r wire.End) wire.Reply {
	r.ID.Try = min(r.ID.Try, maxNumber)
	if !r.Failed {
		s.leave(r.Key, r.ID)
	}
	if r.KeepOut > 0 {
		at := AttemptKey{r.ID.AttemptID, r.Key}
		t, ok := s.Tombstones[at]
		if !ok || s.ms > t.Until {
			t = Tombstone{}
		}
		s.Tombstones[at] = Tombstone{max(t.Try, r.ID.Try), max(t.Until, s.ms+script.Milliseconds(r.KeepOut))}
	}
	reply := wire.Reply{Outcome: wire.None}
	c, held := s.claim(r.Key)
	if held && c.ID.AttemptID == r.ID.AttemptID && c.ID.Try <= r.ID.Try {
		delete(s.Claims, r.Key)
		reply.Outcome = wire.Done
	}
	overtaken := held && c.ID.AttemptID == r.ID.AttemptID && reply.Outcome == wire.None // by a higher try, which has the key
	if r.Failed && r.Queue && !overtaken && !s.ended(r.Key, r.ID) {
		s.join(r.Key, r.ID, r.Position, r.Channel, r.TTL)
	}
	if !r.Failed && (!held || reply.Outcome == wire.Done) {
		reply.Woke = s.wake(r.Key)
	}
	if r.Evict && !r.Failed && reply.Outcome == wire.Done {
		s.told = append(s.told, Told{c.Channel, wire.Notice{Kind: wire.Evicted, AttemptID: r.ID.AttemptID}})
	}
	return reply
}

func (s *step) look(r wire.Look) wire.LookReply {
	reply := wire.LookReply{Count: s.Counters[script.Shard(r.Key)]}
	if c, held := s.claim(r.Key); held {
		c.Until = min(c.Until, s.ms+c.TTL)
		reply.Held, reply.Holder = true, c.holder(s.ms)
	}
	if q := s.queue(r.Key); q != nil {
		for attemptID, w := range q.By {
			if w.Deadline > s.ms && (!reply.Held || attemptID != reply.Holder.ID.AttemptID) {
				reply.Waiters++
			}
		}
	}
	return reply
}

// scan tells the keys in their order, and where a part ends by its last key: a server has an order of its own.
func (s *step) scan(r wire.Scan) (reply wire.ScanReply) {
	for _, key := range slices.Sorted(maps.Keys(s.Claims)) {
		if _, held := s.claim(key); !held || !strings.HasPrefix(key, r.Prefix) || r.From != "" && key <= r.From {
			continue
		}
		if len(reply.Keys) == r.Count {
			reply.Next = reply.Keys[r.Count-1]
			break
		}
		reply.Keys = append(reply.Keys, key)
	}
	return reply
}
