package statemachine

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Inspect tells who holds a key, as of the last entry.
func (m *Machine) Inspect(key string) command.Status {
	q := m.queues[key]
	if q == nil {
		return command.Status{}
	}
	c := q.first
	return command.Status{
		Held: true, Owner: c.owner, Meta: c.meta, Token: c.token,
		Left: time.Duration(m.overdue[c.place].at - m.clock), Waiters: q.length - 1,
	}
}

// Busy reports whether a key is held, and the owner has no claim to it: whoever will not wait
// gets nothing.
func (m *Machine) Busy(key, owner string) bool {
	q := m.queues[key]
	return q != nil && q.find(owner) == nil
}

// Stats is how much there is.
type Stats struct {
	Sessions     int
	Claims       int // held or waiting
	Keys         int // that are held
	Waiters      int
	LongestQueue int // of those who wait for one key
	LastToken    uint64
	Clock        int64 // nanoseconds of the cluster's time
}

// Stats tells how much there is. It costs nothing.
func (m *Machine) Stats() Stats {
	return Stats{
		Sessions: len(m.sessions), Claims: len(m.claims), Keys: len(m.queues),
		Waiters: len(m.claims) - len(m.queues), LongestQueue: max(m.lengths.longest(), 1) - 1,
		LastToken: m.token, Clock: m.clock,
	}
}

// Claims is how many hold or wait, without a look at each key.
func (m *Machine) Claims() int { return len(m.claims) }
