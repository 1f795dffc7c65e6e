// Package model is what the scripts of package script make of a node, in Go: a step machine without
// I/O and without time of its own. It stands in for a server in tests, and is itself tested
// against the Lua on real servers, step for step.
package model

import (
	"maps"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// Node is what one server keeps. It is not safe for concurrent use: a server takes one script at a
// time, too.
type Node struct {
	// Skew is by how much the node's clock is ahead of the one that Do is called with. It may change
	// at any time: such a clock jumps.
	Skew time.Duration

	Counters   map[int]uint64           // by shard
	Claims     map[string]Claim         // by key
	Tombstones map[AttemptKey]Tombstone // what was ended
	Queues     map[string]*Waiters      // by key; none is empty
}

// Claim is the record of a key. Times are in ms of the node's clock, as in Redis.
type Claim struct {
	ID      wire.ID
	Channel string
	Token   uint64
	TTL     int64
	Meta    string
	Until   int64 // it is there until after this
}

// AttemptKey is an attempt, and the key that it wants.
type AttemptKey struct{ AttemptID, Key string }

// Tombstone is the highest try of an attempt that was ended.
type Tombstone struct {
	Try   uint64
	Until int64
}

// Waiters are the attempts that wait for a key.
type Waiters struct {
	Until int64
	By    map[string]Waiter // by attempt
}

// Waiter is one that waits.
type Waiter struct {
	Position uint64
	Try      uint64
	Channel  string
	Deadline int64
}

// Told is a notice that a node has published.
type Told struct {
	Channel string
	Notice  wire.Notice
}

// New is a node without data.
func New() *Node {
	return &Node{
		Counters:   map[int]uint64{},
		Claims:     map[string]Claim{},
		Tombstones: map[AttemptKey]Tombstone{},
		Queues:     map[string]*Waiters{},
	}
}

// Snapshot is a copy: what a node comes back with that is restarted with old data.
func (n *Node) Snapshot() *Node {
	c := &Node{
		Skew:       n.Skew,
		Counters:   maps.Clone(n.Counters),
		Claims:     maps.Clone(n.Claims),
		Tombstones: maps.Clone(n.Tombstones),
		Queues:     make(map[string]*Waiters, len(n.Queues)),
	}
	for key, q := range n.Queues {
		c.Queues[key] = &Waiters{Until: q.Until, By: maps.Clone(q.By)}
	}
	return c
}

// Vanish has the record of a key disappear, as by eviction, or by a clock.
func (n *Node) Vanish(key string) { delete(n.Claims, key) }

// Raise makes a counter this at least, and reports what it is.
func (n *Node) Raise(shard int, count uint64) uint64 {
	n.Counters[shard] = max(n.Counters[shard], count)
	return n.Counters[shard]
}

// Expire drops what has ended by the node's clock.
func (n *Node) Expire(now time.Time) {
	ms := now.Add(n.Skew).UnixMilli()
	maps.DeleteFunc(n.Claims, func(_ string, c Claim) bool { return ms > c.Until })
	maps.DeleteFunc(n.Tombstones, func(_ AttemptKey, t Tombstone) bool { return ms > t.Until })
	maps.DeleteFunc(n.Queues, func(_ string, q *Waiters) bool { return ms > q.Until })
}
