package sim

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// list lists all keys, now and then, as an operator would.
func (w *world) list() {
	for {
		time.Sleep(w.draw(50*time.Millisecond, 500*time.Millisecond))
		w.mu.Lock()
		if w.quiet {
			w.mu.Unlock()
			return
		}
		c := w.clients[w.rng.IntN(len(w.clients))]
		before := w.history.holding()
		w.mu.Unlock()
		if listed, ok := c.list(); ok {
			w.history.listed(c, before, listed)
		}
	}
}

// list goes through all pages. It is not ok where too few nodes answer.
func (c *client) list() (listed map[string]bool, ok bool) {
	listed = map[string]bool{}
	failed := 0
	for cursor := ""; ; {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		page, err := c.backend.ListHeld(ctx, theKey, cursor, 1)
		cancel()
		if err != nil {
			c.w.history.unlisted(c, err)
			if failed++; failed == 3 {
				return nil, false
			}
			time.Sleep(c.w.draw(0, 100*time.Millisecond))
			continue
		}
		for _, s := range page.Locks {
			listed[s.Key] = true
		}
		if cursor = page.Next; cursor == "" {
			return listed, true
		}
	}
}

// heldBefore is what there was before a listing.
type heldBefore struct {
	grants []*held
	free   map[string]int // keys that nobody wants, and how many attempts there had been
}

// holding is what there is before a listing. Called with the mutex held.
func (t *history) holding() heldBefore {
	b := heldBefore{free: map[string]int{}}
	for _, key := range t.w.keys {
		k := t.key(key)
		if k.users == 0 {
			b.free[key] = k.came
		}
		for _, h := range k.active {
			if !h.over && !h.doubtful && time.Now().Before(h.until) {
				b.grants = append(b.grants, h)
			}
		}
	}
	return b
}

// listed looks at a listing: what was held all the while is there, and what nobody wanted is not.
func (t *history) listed(c *client, before heldBefore, listed map[string]bool) {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sum.listings++
	w.trace("%s lists %v", c.name, listed)
	for _, h := range before.grants {
		if !h.over && !h.doubtful && time.Now().Before(h.until) && w.mode < vanish {
			if w.sum.listed++; !listed[h.key] {
				t.fail("%s has held %q all the while, and it is not listed", h.attemptID, h.key)
			}
		}
	}
	for key, came := range before.free {
		if k := t.key(key); w.mode == faultless && k.users == 0 && k.came == came && listed[key] {
			t.fail("%q is listed, and nobody wanted it", key)
		}
	}
}

// unlisted looks at the error of a page.
func (t *history) unlisted(c *client, err error) {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace("%s cannot list: %v", c.name, err)
	if !errors.Is(err, driver.ErrUnavailable) || w.mode == faultless {
		t.fail("%s: ListHeld: %v", c.name, err)
	}
}
