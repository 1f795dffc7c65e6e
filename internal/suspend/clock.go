// Package suspend tells how long this machine was suspended, to RAM or to disk: time
// that Go's monotonic clock leaves out on Linux, while lock servers count it.
//
// Linux has a clock that counts it, CLOCK_BOOTTIME. What counts is how much its distance
// from CLOCK_MONOTONIC, which is Go's, has grown: the distance itself says nothing, since
// a time namespace adds a constant. See docs/decisions/0026.
package suspend

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// least is the growth that counts. Less may be the scheduler's, who had another
	// process run between two readings.
	least = 10 * time.Millisecond

	// rounding is added to each suspend. The kernel takes its length from the
	// real-time clock, which counts whole seconds: up to 1.08 s too little was seen.
	rounding = 2 * time.Second

	// narrow is how close together the readings are that a distance is taken from, if
	// that can be had within a few tries.
	narrow   = 100 * time.Microsecond
	brackets = 10

	// kept is how many suspends are told apart.
	kept = 32
)

// Clock keeps account of the times for which the machine was suspended. A nil Clock is
// that of a machine that never is. It is safe for concurrent use.
type Clock struct {
	source Source
	base   time.Time
	past   atomic.Pointer[past]
	mu     sync.Mutex // held while past is replaced
	watch  watch
}

// Source is where a Clock gets its time from.
type Source struct {
	// Boot reads a clock that goes at the pace of the monotonic clock, and goes on
	// while the machine is suspended.
	Boot func() time.Duration
	// Alarm makes what tells of a wake-up. Without one, or if it fails, the clocks are
	// compared a few times in a second.
	Alarm func() (Alarm, error)
}

// past is what is known of the past. It is replaced, never changed.
type past struct {
	offset time.Duration // Boot less the monotonic clock; what was accounted for
	woke   time.Time     // when the last wake-up, or step of the wall clock, was noticed
	sleeps []sleep       // oldest first
}

// sleep is a time for which the machine was suspended.
type sleep struct {
	noticed time.Time // the first reading of the clocks after it
	counted time.Duration
}

// New returns a Clock that begins now.
func New(s Source) *Clock {
	c := &Clock{source: s, base: time.Now()}
	c.past.Store(&past{offset: c.measure()})
	return c
}

// Look compares the clocks. After it Lost and Woke know of every suspend that had ended
// before. It costs about as much as reading the clock four times.
//
// The monotonic clock is read first. Whatever comes between the two readings makes the
// growth look greater, so if there is none there is none, and one reading of each will do.
func (c *Clock) Look() {
	if c == nil {
		return
	}
	mono := time.Since(c.base)
	if grown := c.source.Boot() - mono - c.past.Load().offset; grown >= least || grown <= -least {
		c.compare()
	}
}

// compare records a growth that seems to be there. Callers that come together wait for the first,
// so that the suspend is recorded when each of them returns.
//
// Two threads may read Start of a grant and the clocks at the same time. A Start that was
// read before the suspend is not after noticed, which was read after it. One that was read
// after the suspend, and before noticed, looks the same, and its lease ends too early: that
// is a matter of microseconds, or, if only the alarm looks, of the milliseconds it takes.
func (c *Clock) compare() {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := *c.past.Load()
	offset := c.measure()
	grown := offset - p.offset
	switch {
	case grown >= least:
		p.woke = time.Now()
		p.sleeps = append(p.sleeps[:len(p.sleeps):len(p.sleeps)], sleep{p.woke, grown})
		if len(p.sleeps) > kept {
			// Two become one that was noticed when the later was: what began between
			// them is charged for both.
			p.sleeps = p.sleeps[1:]
			p.sleeps[0].counted += c.past.Load().sleeps[0].counted + rounding
		}
	case grown <= -least:
		p.woke = time.Now() // no suspend does that; the process was moved to another kernel
	default:
		return // less than it seemed to be, and left to add up
	}
	p.offset = offset
	c.past.Store(&p)
}

// told records that the kernel has told of a wake-up, or of a step of the wall clock,
// which looks the same. The step alone costs nobody anything, see Lost.
func (c *Clock) told() {
	c.Look()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := *c.past.Load()
	p.woke = time.Now()
	c.past.Store(&p)
}

// measure returns the distance of the clocks, never less than it was at the beginning of
// the call. It reads the one between two readings of the other, and takes the closest.
func (c *Clock) measure() (offset time.Duration) {
	best := time.Duration(-1)
	for range brackets {
		before := time.Since(c.base)
		boot := c.source.Boot()
		if width := time.Since(c.base) - before; best < 0 || width < best {
			best, offset = width, boot-before
		}
		if best < narrow {
			break
		}
	}
	return offset
}

// Lost returns how much longer than the monotonic clock says it may have been since a
// time that was read from it: what the kernel has counted, and 2 s more for each suspend.
func (c *Clock) Lost(since time.Time) (d time.Duration) {
	if c == nil {
		return 0
	}
	sleeps := c.past.Load().sleeps
	for i := len(sleeps) - 1; i >= 0 && !since.After(sleeps[i].noticed); i-- {
		d += sleeps[i].counted + rounding
	}
	return d
}

// Woke reports whether the machine may have woken up since a time that was read from the
// monotonic clock. Unlike Lost it also counts a step of the wall clock, which may be all
// that is to be seen of a short suspend.
func (c *Clock) Woke(since time.Time) bool {
	if c == nil {
		return false
	}
	woke := c.past.Load().woke
	return !woke.IsZero() && !since.After(woke)
}
