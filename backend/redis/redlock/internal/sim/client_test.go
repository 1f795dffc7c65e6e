package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/driver"
)

// client is one with the real recipe.
type client struct {
	w       *world
	name    string
	links   []*link
	backend *recipe.Backend
}

// work locks, holds and unlocks, one key after the other.
func (c *client) work(worker int) {
	w := c.w
	for n := 0; ; n++ {
		pause := 30 * time.Millisecond
		if w.mode == vanish {
			pause = time.Millisecond // so that more than two want the lock at the same time
		}
		time.Sleep(w.draw(0, pause))
		w.mu.Lock()
		quiet := w.quiet
		req := driver.Request{
			Key: w.keys[w.rng.IntN(len(w.keys))], AttemptID: fmt.Sprintf("%s-%d-%d", c.name, worker, n), Identity: c.name,
			TTL: w.between(100*time.Millisecond, time.Second).Truncate(time.Millisecond), Wait: w.rng.IntN(3) > 0,
		}
		if w.rng.IntN(6) == 0 {
			req.TTL = longestTTL
		}
		o := w.history.attempt(req.AttemptID)
		w.mu.Unlock()
		if quiet {
			return
		}
		c.lock(req, o)
	}
}

// lock is one attempt, as the core makes it.
func (c *client) lock(req driver.Request, o *attemptHistory) {
	w := c.w
	ctx, cancel := context.WithTimeout(context.Background(), w.draw(20*time.Millisecond, 4*time.Second))
	defer cancel()
	alone, came := w.history.comes(req.Key)
	over := 50 * time.Millisecond
	defer func() { w.history.goes(req.Key, over) }()
	var g driver.Grant
	for try := 0; ; try++ {
		req.Retry = try > 0
		var err error
		g, err = c.backend.Acquire(ctx, req)
		w.history.acquired(c, req, g, err, alone, came)
		if err == nil {
			break
		}
		if ctx.Err() != nil || !req.Wait && errors.Is(err, driver.ErrHeld) || w.pick(3) == 0 {
			c.release(driver.Grant{Key: req.Key, AttemptID: req.AttemptID}, nil)
			return
		}
		time.Sleep(w.draw(0, 50*time.Millisecond))
	}
	h := w.history.hold(c, g)
	if h == nil {
		return
	}
	if w.pick(12) == 0 { // asks again, as if it had not heard
		began := time.Now()
		again, err := c.backend.Acquire(context.Background(), req)
		w.history.again(h, again, err, began)
	}
	switch w.pick(12) {
	case 0: // dies
		w.history.abandon(h)
		over += 2 * longestTTL
		return
	case 1: // sleeps through the end of its lease
		time.Sleep(time.Until(g.Start.Add(g.TTL + g.TTL/20 + w.draw(0, g.TTL))))
		w.history.ended(h)
		r := c.backend.Renew(context.Background(), []driver.Grant{g})
		w.history.afterEnd(h, r[0])
	default:
		c.keep(h, g)
	}
	c.release(g, h)
}

// keep renews a lease for some time.
func (c *client) keep(h *held, g driver.Grant) {
	w := c.w
	until := time.Now().Add(w.draw(0, []time.Duration{3 * time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 4 * g.TTL}[w.pick(4)]))
	for {
		next := g.Start.Add(g.TTL / 3)
		end := g.Start.Add(g.TTL)
		pause := time.Until(next)
		for pause < g.TTL/20 {
			pause += g.TTL / 10
		}
		if wake := time.Now().Add(pause); wake.After(until) || wake.After(end) {
			if until.After(end) {
				until = end
			}
			time.Sleep(time.Until(until))
			return
		}
		time.Sleep(pause)
		ctx, cancel := context.WithDeadline(context.Background(), end)
		sent := time.Now()
		r := c.backend.Renew(ctx, []driver.Grant{g})[0]
		cancel()
		if !w.history.renewed(h, r, sent) {
			return
		}
		if r.Err == nil {
			g.Start, g.TTL = r.Start, r.TTL
		}
	}
}

// release ends an attempt's claim; it has none if h is nil.
func (c *client) release(g driver.Grant, h *held) {
	c.w.history.releasing(g, h)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := c.backend.Release(ctx, g)
	c.w.history.released(c, g, h, err)
}

func (c *client) evict(key string) {
	w := c.w
	evicted := w.history.evicting(key)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := c.backend.Evict(ctx, key, "")
	w.history.evicted(c, key, evicted, err)
}
