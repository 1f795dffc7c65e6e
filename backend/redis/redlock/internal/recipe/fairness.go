package recipe

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

const (
	// maxRow is how often a client takes a key in a row while others wait, at most.
	maxRow = 3
	// maxRowTrips is how many round trips such a row lasts, at most: where the lock is held for longer than
	// a hand-off takes, nothing is gained by keeping it.
	maxRowTrips = 20
)

// fairness arranges how clients share a key that they want again and again.
//
// To hand a key over costs more than to take it back, and if a waiter is told at each release, it meets
// the releaser, who takes the key back, on the nodes: both then have some of them, and nobody a
// majority. So a client that has shown that it comes back at once tells nobody of a release, a few times
// in a row. Then it tells the first waiter, and waits behind the others. If it does not come back this
// time, a timer tells the first waiter. All that may fail is a hint: a client that dies before the timer
// leaves waiters to find out by themselves, when they ask again.
type fairness struct {
	keys atomic.Int64 // the length of runs: nobody waits, mostly

	mu      sync.Mutex
	runs    map[string]*run
	waiting map[string]*attempt // by key: a waiter of this client, which asks when it is told
}

// run is what a client knows of a key for which others wait.
type run struct {
	crowded      bool      // the last release that told a waiter found one
	back         bool      // the client came back soon after its last release
	yield        bool      // others are to go first
	taken        int       // releases in a row of which nobody was told
	since        time.Time // when the first of them was asked for
	freed        time.Time // the last release
	deferredWake wire.Request
	timer        *time.Timer
}

// maxRuns is the number of keys that are remembered.
const maxRuns = 1024

// release is called before a key is released that was asked for at began. It reports whether nobody is told; or, if it is the last
// of a row, that it matters whether somebody is.
func (c *fairness) release(key string, began time.Time, trip time.Duration) (quiet, last bool) {
	if c.keys.Load() == 0 {
		return false, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[key]
	if r == nil {
		return false, false
	}
	now := time.Now()
	if r.taken == 0 {
		r.since = began
	}
	if r.crowded && (r.back || c.waiting[key] != nil) && r.taken < maxRow-1 && now.Sub(r.since) < maxRowTrips*trip {
		r.taken++
		return true, false
	}
	if !r.crowded {
		c.forgetLocked(key)
		return false, false
	}
	r.yield = r.back
	r.crowded, r.taken, r.freed, r.deferredWake = false, 0, now, nil
	return false, r.yield
}

// addWaiter records that a waiter of this client waits. It reports whether the client has released the key, and told
// nobody, since the waiter's last try began.
func (c *fairness) addWaiter(w *attempt, began time.Time) (missed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = make(map[string]*attempt)
	}
	c.waiting[w.Key] = w
	r := c.runs[w.Key]
	return r != nil && r.deferredWake != nil && r.freed.After(began)
}

// removeWaiter is the end of that.
func (c *fairness) removeWaiter(w *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[w.Key] == w {
		delete(c.waiting, w.Key)
	}
}

// localWaiter returns a waiter of this client, or nil. A release of which no node tells anybody is its turn: it comes
// as the client comes back, and nobody knows as soon.
func (c *fairness) localWaiter(key string) *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting[key]
}

// foundWaiter records that a release has told a waiter.
func (c *fairness) foundWaiter(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[key]
	if r == nil {
		if c.runs == nil {
			c.runs = make(map[string]*run)
		}
		if len(c.runs) >= maxRuns {
			c.shrinkLocked()
		}
		r = &run{freed: time.Now()}
		c.runs[key] = r
		c.keys.Store(int64(len(c.runs)))
	}
	r.crowded = true
}

// deferWake is called when a key was released and nobody told. tell is called with what tells a waiter, unless
// the client comes back within d.
func (c *fairness) deferWake(key string, end wire.Request, d time.Duration, tell func(wire.Request)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[key]
	if r == nil {
		go tell(end) // forgotten meanwhile
		return
	}
	r.freed, r.deferredWake = time.Now(), end
	if r.timer != nil {
		r.timer.Reset(d)
		return
	}
	r.timer = time.AfterFunc(d, func() {
		if end := c.takeDeferred(key, r); end != nil {
			tell(end)
		}
	})
}

// takeDeferred returns what tells a waiter, if that is owed. The client does not come back, or has not got
// the key.
func (c *fairness) takeDeferred(key string, of *run) wire.Request {
	if c.keys.Load() == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[key]
	if r == nil || of != nil && r != of {
		return nil
	}
	end := r.deferredWake
	if end != nil {
		r.deferredWake, r.taken, r.back = nil, 0, false
	}
	return end
}

// enter is called when the client wants a key. It reports whether others are to go first.
func (c *fairness) enter(key string, soon time.Duration) (yield bool) {
	if c.keys.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.runs[key]
	if r == nil {
		return false
	}
	if r.timer != nil {
		r.timer.Stop() // whether it did or not: pay finds out, or we meet the one who is told
	}
	r.back = time.Since(r.freed) < soon
	yield, r.yield = r.yield && r.crowded, false
	return yield
}

// metHolder records that a try which began then has met another that has the key, and so will tell the next. That is
// not so where the other was of this client, and has released it since, and told nobody.
func (c *fairness) metHolder(key string, began time.Time) {
	if c.keys.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.runs[key]; r != nil && began.After(r.freed) {
		r.taken, r.deferredWake = 0, nil
	}
}

// shrinkLocked forgets the keys that nobody has released for a second, or else all that owe nothing.
func (c *fairness) shrinkLocked() {
	for key, r := range c.runs {
		if r.deferredWake == nil && time.Since(r.freed) > time.Second {
			c.forgetLocked(key)
		}
	}
	for key, r := range c.runs {
		if len(c.runs) >= maxRuns && r.deferredWake == nil {
			c.forgetLocked(key)
		}
	}
}

func (c *fairness) forgetLocked(key string) {
	delete(c.runs, key)
	c.keys.Store(int64(len(c.runs)))
}
