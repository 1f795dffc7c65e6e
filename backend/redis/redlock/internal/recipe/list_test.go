package recipe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// list goes through all pages, and returns how often each key came.
func list(t *testing.T, b driver.Backend, prefix string, limit int) map[string]int {
	t.Helper()
	came := map[string]int{}
	for cursor := ""; ; {
		page, err := b.ListHeld(t.Context(), prefix, cursor, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Locks) > limit {
			t.Errorf("%d locks in a page of %d", len(page.Locks), limit)
		}
		for _, s := range page.Locks {
			came[s.Key]++
			if want := "of " + s.Key; !s.Held() || s.Holders[0].AttemptID != want || s.Waiters != -1 {
				t.Errorf("%+v, want %q as its holder", s, want)
			}
		}
		if cursor = page.Next; cursor == "" {
			return came
		}
	}
}

// give has nodes hold a key, as if by an attempt of its own.
func (w *env) give(key string, nodes ...int) {
	for _, i := range nodes {
		w.at(i, func(n *model.Node) {
			n.Claims[key] = model.Claim{
				ID: wire.ID{AttemptID: "of " + key, Try: 1}, Channel: "c0", Token: 7, TTL: time.Hour.Milliseconds(), Until: time.Now().Add(time.Hour).UnixMilli(),
			}
		})
	}
}

func once(keys ...string) map[string]int {
	m := map[string]int{}
	for _, k := range keys {
		m[k] = 1
	}
	return m
}

// A lock that a majority has is listed, once, and what a minority has is none.
func TestListHeld(t *testing.T) {
	for _, limit := range []int{1, 2, 7, 1000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newEnv(t, 3)
				c := w.client()
				w.give("on all", 0, 1, 2)
				w.give("on two", 0, 2)
				w.give("on the others", 1, 2)
				w.give("on one", 1)
				want := once("on all", "on two", "on the others")
				for i := range 300 {
					key := fmt.Sprint("many ", i)
					w.give(key, i%3, (i+1)%3)
					want[key] = 1
				}
				if got := list(t, c, "", limit); !maps.Equal(got, want) {
					t.Errorf("%d keys: %v", len(got), got)
				}
				if got := list(t, c, "on ", limit); !maps.Equal(got, once("on all", "on two", "on the others")) {
					t.Errorf("%v", got)
				}
				if got := list(t, c, "on t*", limit); len(got) > 0 {
					t.Errorf("%v", got)
				}
				_ = c.Close()
			})
		})
	}
}

// A majority of the nodes suffices, whichever is away, and whether that is known. What may be on a majority is listed:
// nobody else can get it.
func TestListHeldWithoutANode(t *testing.T) {
	for away := range 3 {
		for _, silent := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w := newEnv(t, 3)
				if silent {
					w.silent = only(away)
				} else {
					w.away = only(away)
				}
				w.give("on all", 0, 1, 2)
				w.give("on two", away, (away+1)%3)
				w.give("on the others", (away+1)%3, (away+2)%3)
				w.give("not there", away)
				c := w.client()
				if got := list(t, c, "", 2); !maps.Equal(got, once("on all", "on two", "on the others")) {
					t.Errorf("without node %d: %v", away, got)
				}
				_ = c.Close()
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, 3)
		w.silent = only(0, 2)
		w.give("on all", 0, 1, 2)
		c := w.client()
		var err error
		var page driver.Page
		for range 2 {
			began := time.Now()
			page, err = c.ListHeld(t.Context(), "", page.Next, 10)
			if took := time.Since(began); len(page.Locks) > 0 || took > 3*time.Second {
				t.Errorf("%+v after %v", page, took)
			}
		}
		var noQuorum *recipe.NoQuorumError
		if !errors.Is(err, driver.ErrUnavailable) || !errors.As(err, &noQuorum) {
			t.Errorf("without a majority: %v", err)
		}
		_ = c.Close()
	})
}

// A key that a node gets after its scan, by a repair, and that the scans of other nodes find, is listed.
func TestListHeldThroughARepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, 3)
		c := w.client()
		defer func() { _ = c.Close() }()
		w.give("a", 0, 1, 2)
		w.give("k", 1, 2)
		page, err := c.ListHeld(t.Context(), "", "", 10)
		if err != nil || len(page.Locks) != 1 {
			t.Fatalf("%+v, %v", page, err)
		}
		w.give("k", 0)
		page, err = c.ListHeld(t.Context(), "", page.Next, 10)
		if err != nil || len(page.Locks) != 1 || page.Locks[0].Key != "k" {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

// A page that is asked for twice has the same locks, also by another client.
func TestListHeldPageAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, 3)
		c, other := w.client(), w.client()
		for i := range 9 {
			w.give(fmt.Sprint(i), 0, 1, 2)
		}
		keys := func(c *client, cursor string) (keys string, next string) {
			page, err := c.ListHeld(t.Context(), "", cursor, 4)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.Locks {
				keys += s.Key
			}
			return keys, page.Next
		}
		first, next := keys(c, "")
		for _, c := range []*client{c, other, c} {
			if second, _ := keys(c, next); first != "0123" || second != "4567" {
				t.Errorf("%s and %s", first, second)
			}
		}
		_, _ = c.Close(), other.Close()
	})
}

func TestListHeldWrongCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, 3)
		c := w.client()
		defer func() { _ = c.Close() }()
		w.give("a1", 0, 1, 2)
		w.give("a2", 0, 1, 2)
		page, err := c.ListHeld(t.Context(), "a", "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ListHeld(t.Context(), "b", page.Next, 1); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("with another prefix: %v", err)
		}
		for _, cursor := range []string{"17", "{}", `{"n":3,"p":1,"d":8}`, `{"n":5,"p":1}`, `{"n":3,"p":1,"x":0}`, page.Next[1:]} {
			if _, err := c.ListHeld(t.Context(), "a", cursor, 1); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("%q: %v", cursor, err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.ListHeld(ended, "", "", 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// A scan that meets another process of the server begins again: the positions of the old process mean nothing there.
func TestScanBeginsAgainAfterARestart(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		for _, i := range []int{1, 2} {
			h.nodes[i].unfit = errAway
		}
		var next string
		page := func() <-chan result {
			return run(func() (driver.Grant, error) {
				p, err := h.ListHeld(t.Context(), "", next, 10)
				if err == nil {
					next = p.Next
				}
				return driver.Grant{}, err
			})
		}
		c := page()
		h.scanned(0, "", wire.ScanReply{Next: "5", Boot: "one"})
		h.got(c)
		c = page()
		h.scanned(0, "5", wire.ScanReply{Next: "9", Boot: "two"})
		h.waits(c)
		h.scanned(0, "", wire.ScanReply{Next: "6", Boot: "two"})
		h.got(c)
		c = page()
		h.scanned(0, "6", wire.ScanReply{Boot: "two"})
		h.got(c)
		c = page()
		if r := h.returned(c); !errors.Is(r.err, driver.ErrUnavailable) || !strings.Contains(r.err.Error(), "1 of 3 nodes agree") {
			t.Errorf("with one node: %v", r.err)
		}
		h.nodes[2].down(nil)
		c = page()
		h.scanned(2, "", wire.ScanReply{Boot: "x"})
		h.got(c)
		if next != "" {
			t.Errorf("after a majority: %q", next)
		}
	})
}

func (h *manualNodes) scanned(node int, from string, reply wire.ScanReply) {
	h.t.Helper()
	r, a := next[wire.Scan](h, node)
	if r.From != from {
		h.t.Errorf("the scan of node %d goes on from %q, want %q", node, r.From, from)
	}
	a.done(reply, nil)
}

// What is not remembered of a listing comes again, and is not lost.
func TestManyListings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, 3)
		c := w.client()
		defer func() { _ = c.Close() }()
		w.give("a", 0, 1, 2)
		w.give("b", 1, 2)
		page, err := c.ListHeld(t.Context(), "", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := c.ListHeld(t.Context(), "", "", 10); err != nil {
				t.Fatal(err)
			}
		}
		var keys []string
		for page.Next != "" {
			if page, err = c.ListHeld(t.Context(), "", page.Next, 10); err != nil {
				t.Fatal(err)
			}
			for _, s := range page.Locks {
				keys = append(keys, s.Key)
			}
		}
		if want := []string{"a", "b", "a", "b"}; !slices.Equal(keys, want) {
			t.Errorf("%v, want %v", keys, want)
		}
	})
}

// Evict of one attempt ends what that has, and nothing of another's.
func TestEvictOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, 3)
		c := w.client()
		defer func() { _ = c.Close() }()
		w.give("k", 0, 1, 2)
		for _, id := range []string{"another", "of "} {
			if err := c.Evict(t.Context(), "k", id); !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if s, err := c.Inspect(t.Context(), "k"); err != nil || !s.Held() {
			t.Errorf("%+v, %v", s, err)
		}
		if err := c.Evict(t.Context(), "k", "of k"); err != nil {
			t.Error(err)
		}
		if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// Another attempt gets the key between the look and the End: it keeps it.
func TestEvictOfOneThatHasGone(t *testing.T) {
	manual(t, 3, func(t *testing.T, h *manualNodes) {
		c := run(func() (g driver.Grant, err error) { return g, h.Evict(t.Context(), "k", theirs.ID.AttemptID) })
		for i := range 3 {
			h.looked(i, theirs)
		}
		for i := range 3 {
			if r := h.ended(i, wire.None); r.ID != theirs.ID || !r.Evict {
				t.Errorf("node %d was asked %+v", i, r)
			}
		}
		if r := h.returned(c); !errors.Is(r.err, driver.ErrNotHeld) {
			t.Errorf("%v", r.err)
		}
	})
}
