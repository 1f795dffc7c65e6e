package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// history knows what really happens, and checks what was promised. The world's mutex guards it; its methods take
// it, but for those that say so.
type history struct {
	w        *world
	keys     map[string]*keyHistory
	attempts map[string]*attemptHistory
	failure  string
}

// keyHistory is all grants of a key.
type keyHistory struct {
	tokens map[uint64]*held
	grants []*held // by when they were returned
	highs  []uint64
	active []*held
	users  int       // attempts that may have a key on some node
	came   int       // all attempts that there have been
	evict  int       // evictions under way
	clear  time.Time // when the last one was over
}

// attemptHistory is what was sent for an attempt.
type attemptHistory struct {
	over     bool // it was released
	died     bool
	endLost  bool // an End has not arrived
	renewing time.Time
	lates    []late
	ended    map[*host]uint64 // on which nodes all tries up to this have ended
	failed   map[*host]uint64 // and where just this one, the last
}

// late is a key that was set for an attempt: when, and when that was decided.
type late struct{ decided, set time.Time }

// held is one grant. It holds from when Acquire has returned until its lease has ended, or Release was called.
type held struct {
	client         *client
	key, attemptID string
	token          uint64
	start, from    time.Time
	until          time.Time
	over           bool
	doubtful       bool // somebody has evicted it, maybe
}

func (t *history) fail(format string, args ...any) {
	if t.failure == "" {
		t.failure = fmt.Sprintf("at %v: ", time.Since(t.w.began)) + fmt.Sprintf(format, args...)
		t.w.trace("WRONG: %s", t.failure)
	}
}

// attempt begins an attempt. Called with the mutex held.
func (t *history) attempt(name string) *attemptHistory {
	o := t.attempts[name]
	if o == nil {
		o = &attemptHistory{}
		t.attempts[name] = o
	}
	return o
}

func (t *history) key(name string) *keyHistory {
	k := t.keys[name]
	if k == nil {
		k = &keyHistory{tokens: map[uint64]*held{}}
		t.keys[name] = k
	}
	return k
}

// sent, unsent and carriedOut follow a request. Called with the mutex held.
func (t *history) sent(r wire.Request) {
	if r, ok := r.(wire.Renew); ok {
		for _, l := range r.Leases {
			t.attempt(l.ID.AttemptID).renewing = time.Now()
		}
	}
}

func (t *history) unsent(r wire.Request) {
	if r, ok := r.(wire.End); ok {
		t.attempt(r.ID.AttemptID).endLost = true
	}
}

// What comes after the End of its try must not get a key: nobody would release that.
func (t *history) carriedOut(h *host, r wire.Request, reply any, sent time.Time) {
	t.w.sum.requests++
	set := func(id wire.ID, decided time.Time) {
		o := t.attempt(id.AttemptID)
		o.lates = append(o.lates, late{decided, time.Now()})
		if id.Try <= o.ended[h] || id.Try == o.failed[h] {
			t.fail("%s has try %d ended on node %d, and gets the key there after that", id.AttemptID, id.Try, h.n)
		}
	}
	switch r := r.(type) {
	case wire.Take:
		if reply, ok := reply.(wire.TakeReply); ok && reply.Outcome == wire.Done {
			set(r.ID, sent)
		} else if ok && reply.Outcome == wire.Ended {
			t.w.sum.keptOut++
		}
	case wire.Repair:
		if reply, ok := reply.(wire.Reply); ok && reply.Outcome == wire.Done {
			set(r.ID, t.attempt(r.ID.AttemptID).renewing)
			t.w.sum.repairs++
		}
	case wire.End:
		o := t.attempt(r.ID.AttemptID)
		if o.ended == nil {
			o.ended, o.failed = map[*host]uint64{}, map[*host]uint64{}
		}
		if r.Failed {
			o.failed[h] = r.ID.Try
		} else {
			o.ended[h] = max(o.ended[h], r.ID.Try)
		}
	}
}

// comes is when an attempt begins to ask, and goes when the last of what it had has ended.
func (t *history) comes(key string) (alone bool, came int) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	k := t.key(key)
	k.users++
	k.came++
	return k.users == 1, k.came
}

func (t *history) goes(key string, after time.Duration) {
	time.AfterFunc(after, func() {
		t.w.mu.Lock()
		defer t.w.mu.Unlock()
		t.key(key).users--
	})
}

// held looks at an answer that another has the lock.
func (t *history) held(req driver.Request, alone bool, came int) {
	if t.w.mode == faultless && alone && t.key(req.Key).came == came {
		t.fail("%s is told that another has %q, and nobody has", req.AttemptID, req.Key)
	}
}

// acquired looks at what Acquire has returned.
func (t *history) acquired(c *client, req driver.Request, g driver.Grant, err error, alone bool, came int) {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace("%s acquires %q for %s: token %v, %v", c.name, req.Key, req.AttemptID, g.Token, err)
	switch {
	case err == nil:
		w.sum.grants++
	case errors.Is(err, driver.ErrHeld):
		w.sum.held++
		t.held(req, alone, came)
	case errors.Is(err, driver.ErrUnavailable):
		w.sum.unavailable++
		if w.mode == faultless {
			t.fail("%s: in a calm world, Acquire: %v", req.AttemptID, err)
		}
	case errors.Is(err, errContext):
		w.sum.timeUps++
	case errors.Is(err, driver.ErrReleased) && w.mode >= restart: // an eviction has met its keys before it was granted
		w.sum.evictedEarly++
	default:
		t.fail("%s: Acquire: %v", req.AttemptID, err)
	}
}

// hold begins a grant, and checks its token, and that nobody else has one.
func (t *history) hold(c *client, g driver.Grant) *held {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	h := &held{
		client: c, key: g.Key, attemptID: g.AttemptID, token: uint64(g.Token), start: g.Start, from: now, until: g.Start.Add(g.TTL),
	}
	k := t.key(g.Key)
	if h.token == 0 {
		t.fail("%s has no token", h.attemptID)
	}
	if o := k.tokens[h.token]; o != nil {
		t.fail("%s has token %d of %q, which %s has got", h.attemptID, h.token, h.key, o.attemptID)
	}
	k.tokens[h.token] = h
	for i := len(k.grants) - 1; i >= 0; i-- {
		if k.grants[i].from.Before(h.start) {
			if k.highs[i] >= h.token {
				t.fail("%s began when token %d of %q had been granted, and has token %d", h.attemptID, k.highs[i], h.key, h.token)
			}
			break
		}
	}
	high := h.token
	if n := len(k.highs); n > 0 {
		high = max(high, k.highs[n-1])
	}
	k.grants, k.highs = append(k.grants, h), append(k.highs, high)

	if k.evict > 0 || !k.clear.Before(h.start) {
		h.doubtful = true
	}
	for _, host := range w.hosts {
		w.vanishSoon(host, h.key)
	}
	active := k.active[:0]
	for _, o := range k.active {
		if o.over || !now.Before(o.until) {
			continue
		}
		active = append(active, o)
		if !now.Before(h.until) {
			continue
		}
		w.sum.overlaps++
		if w.mode < vanish && !o.doubtful && !h.doubtful {
			t.fail("%s has %q until %v, and %s until %v", o.attemptID, h.key, o.until.Sub(w.began), h.attemptID, h.until.Sub(w.began))
		}
	}
	k.active = append(active, h)
	if last := len(k.grants) - 2; last >= 0 && k.grants[last].client != c {
		w.sum.changes++
	}
	return h
}

// again looks at what an attempt gets that asks for what it has.
func (t *history) again(h *held, g driver.Grant, err error, began time.Time) {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && uint64(g.Token) != h.token {
		if w.mode < vanish && !h.doubtful && began.Before(h.until) {
			t.fail("%s has token %d, asks again, and gets token %v", h.attemptID, h.token, g.Token)
		}
		h.over = true
	}
}

// renewed looks at a renewal, and reports whether the lease goes on.
func (t *history) renewed(h *held, r driver.Renewal, sent time.Time) bool {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace("%s renews: %v", h.attemptID, r.Err)
	switch {
	case errors.Is(r.Err, driver.ErrNotHeld):
		w.sum.lost++
		if w.mode < restart && !h.doubtful && time.Now().Before(h.until) {
			t.fail("%s is told that it has lost %q, which it holds", h.attemptID, h.key)
		}
		h.over = true
		return false
	case r.Err != nil:
		if w.mode == faultless {
			t.fail("%s: in a calm world, Renew: %v", h.attemptID, r.Err)
		}
		return time.Now().Before(h.until)
	}
	if !time.Now().Before(h.until) {
		h.over = true
		return false // too late; the core has given it up
	}
	w.sum.renewals++
	t.revived(h, sent)
	h.until = r.Start.Add(r.TTL)
	return true
}

// revived looks for a lease that is confirmed though another has had the lock since. That takes a key that was set
// by a packet that was on its way all the while: a renewal that is sent later cannot bring it back.
func (t *history) revived(h *held, sent time.Time) {
	k := t.key(h.key)
	for _, g := range k.grants {
		if g == h || !g.from.Before(sent) || !h.from.Before(g.start) || g.attemptID == h.attemptID {
			continue
		}
		excused := h.doubtful
		for _, l := range t.attempt(h.attemptID).lates {
			excused = excused || l.set.After(g.start) && l.decided.Before(g.from)
		}
		if excused {
			t.w.sum.revived++
			continue
		}
		t.fail("%s has had %q since %v; %s is renewed by a request of %v", g.attemptID, h.key, g.from.Sub(t.w.began), h.attemptID, sent.Sub(t.w.began))
	}
}

// ended is when a holder has slept through the end of its lease, and afterEnd the renewal that it asks for then.
func (t *history) ended(h *held) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	h.over = true
}

func (t *history) afterEnd(h *held, r driver.Renewal) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.w.sum.slept++
	if r.Err == nil && t.w.mode < vanish {
		t.fail("%s slept through its lease of %q, and is renewed", h.attemptID, h.key)
	}
}

func (t *history) abandon(h *held) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.w.trace("%s dies", h.attemptID)
	t.attempt(h.attemptID).died = true
}

func (t *history) releasing(g driver.Grant, h *held) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if h != nil {
		h.over = true
	}
}

func (t *history) released(c *client, g driver.Grant, h *held, err error) {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace("%s releases %q for %s: %v", c.name, g.Key, g.AttemptID, err)
	t.attempt(g.AttemptID).over = true
	if err != nil && h != nil && w.mode == faultless && time.Now().Before(h.until) {
		t.fail("%s holds %q, and Release says %v", g.AttemptID, g.Key, err)
	}
}

// evicting doubts the holder of the key, until it is over.
func (t *history) evicting(key string) []*held {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	k := t.key(key)
	k.evict++
	for _, h := range k.active {
		h.doubtful = true
	}
	return k.active
}

func (t *history) evicted(c *client, key string, _ []*held, err error) {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	t.key(key).evict--
	t.key(key).clear = time.Now()
	if err == nil {
		w.sum.evictions++
	}
	w.trace("%s evicts %q: %v", c.name, key, err)
}

// left looks for what nobody wants: a key, or a position in a queue, of an attempt that was released, though all Ends have
// arrived. Called with the mutex held.
func (t *history) left() {
	for _, h := range t.w.hosts {
		for key, c := range h.node.Claims {
			o := t.attempt(c.ID.AttemptID)
			if o.died {
				continue
			}
			t.w.sum.claims++
			if !o.over {
				t.fail("node %d has %q for %s, which was never released", h.n, key, c.ID.AttemptID)
			}
			if o.over && !o.endLost {
				t.fail("node %d still has %q for %s, which was released", h.n, key, c.ID.AttemptID)
			}
		}
		h.node.Expire(h.now())
		for key, c := range h.node.Claims {
			t.fail("node %d has %q for %s, long after its lease has ended", h.n, key, c.ID.AttemptID)
		}
		for key, q := range h.node.Queues {
			for attemptID := range q.By {
				if o := t.attempt(attemptID); o.over && !o.endLost {
					t.fail("node %d still has %s waiting for %q", h.n, attemptID, key)
				}
			}
		}
	}
}
