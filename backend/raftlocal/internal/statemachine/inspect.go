package statemachine

import (
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

const (
	// maxLooked is how many claims one page looks at. It takes some 0.1 ms, so no grant waits longer for it.
	maxLooked = 4096
	// maxPage and maxPageBytes bound a page.
	maxPage      = 1024
	maxPageBytes = 256 << 10
)

// ListHeld returns locks that are held and whose keys begin with prefix, as of the last entry: limit at the most.
// after is 0 for the first page and next of the page before otherwise; next is 0 after the last page.
//
// The order is that of the claims' numbers, not that of the keys: all members have it at hand, so a page
// neither sorts nor looks at all keys, and any leader can go on where another ended. A lock that is
// held from the first page until the last is listed. It cannot slip from behind the cursor to before it
// unseen: a queue is in the order of its numbers, so the next holder's number is above the last holder's.
func (m *Machine) ListHeld(prefix string, after uint64, limit int) (locks []command.Lock, next uint64) {
	limit = min(limit, maxPage)
	all := m.locks.arrivals.claims[m.locks.arrivals.find(after+1):]
	for i, bytes := 0, 0; i < len(all); i++ {
		if i == maxLooked || len(locks) == limit || bytes > maxPageBytes {
			return locks, all[i-1].number
		}
		c := all[i].claim
		if c == nil || c.token == 0 || !strings.HasPrefix(c.queue.key, prefix) {
			continue
		}
		bytes += len(c.queue.key) + len(c.attemptID) + len(c.meta)
		locks = append(locks, command.Lock{
			Key: c.queue.key, AttemptID: c.attemptID, Meta: c.meta, Token: c.token, Left: time.Duration(m.locks.overdue[c.index].at - m.clock),
		})
	}
	return locks, 0
}

// Grant returns the number of the claim by which an attempt holds a key, or 0. The number never stands for anything
// else: the claim holds the key until it ends.
func (m *Machine) Grant(key, attemptID string) (number uint64) {
	if q := m.locks.queues[key]; q != nil && q.first.attemptID == attemptID {
		return q.first.number
	}
	return 0
}

// Eviction returns what the holder of a claim would be told if an operator ended it now.
func (m *Machine) Eviction(number uint64) (push command.Push, ok bool) {
	c := m.locks.claims[number]
	if c == nil {
		return command.Push{}, false
	}
	return command.Push{Session: c.session, Claim: command.Claim{Number: c.number, Code: command.Evicted, Token: c.token}}, true
}

// arrivals has all claims in the order of their numbers, which is that in which they came. Those that have ended
// stay as gaps until there are many.
type arrivals struct {
	claims []arrival
	gaps   int
}

type arrival struct {
	number uint64
	claim  *claim // nil if it has ended
}

// fewGaps is how many gaps stay, however few claims there are.
const fewGaps = 64

// find returns where the first number is that is not below another.
func (a *arrivals) find(number uint64) int {
	i, _ := slices.BinarySearchFunc(a.claims, number, func(x arrival, n uint64) int {
		switch {
		case x.number < n:
			return -1
		case x.number > n:
			return 1
		}
		return 0
	})
	return i
}

func (a *arrivals) add(c *claim) { a.claims = append(a.claims, arrival{c.number, c}) }

func (a *arrivals) remove(number uint64) {
	last := len(a.claims) - 1
	if a.claims[last].number == number {
		a.claims[last] = arrival{}
		a.claims = a.claims[:last]
	} else {
		a.claims[a.find(number)].claim = nil
		a.gaps++
	}
	if a.gaps > fewGaps && 2*a.gaps > len(a.claims) {
		a.compact()
	}
}

// compact closes the gaps, and gives memory back if much was in use.
func (a *arrivals) compact() {
	kept := slices.DeleteFunc(a.claims, func(x arrival) bool { return x.claim == nil })
	if cap(kept) > 4*max(len(kept), fewGaps) {
		kept = slices.Clone(kept)
	}
	*a = arrivals{claims: kept}
}

// Inspect tells who holds a key, as of the last entry.
func (m *Machine) Inspect(key string) command.Status {
	q := m.locks.queues[key]
	if q == nil {
		return command.Status{}
	}
	c := q.first
	return command.Status{
		Held: true, AttemptID: c.attemptID, Meta: c.meta, Token: c.token,
		Left: time.Duration(m.locks.overdue[c.index].at - m.clock), Waiters: q.length - 1,
	}
}

// Busy reports whether a key is held, and the attempt has no claim to it: an attempt that will not wait
// gets nothing.
func (m *Machine) Busy(key, attemptID string) bool {
	q := m.locks.queues[key]
	return q != nil && q.find(attemptID) == nil
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
		Sessions: len(m.sessions.byNumber), Claims: len(m.locks.claims), Keys: len(m.locks.queues),
		Waiters: len(m.locks.claims) - len(m.locks.queues), LongestQueue: max(m.locks.lengths.longest(), 1) - 1,
		LastToken: m.token, Clock: m.clock,
	}
}

// Claims is how many hold or wait, without a look at each key.
func (m *Machine) Claims() int { return len(m.locks.claims) }
