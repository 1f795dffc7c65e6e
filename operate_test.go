package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// listed collects what ListHeld gives, sorted.
func listed(t *testing.T, c *fencelock.Client, prefix string) (keys []string) {
	t.Helper()
	for s, err := range c.ListHeld(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("ListHeld: %v", err)
		}
		if !s.Held() || s.Waiters != -1 {
			t.Errorf("ListHeld: %+v", s)
		}
		keys = append(keys, s.Key)
	}
	slices.Sort(keys)
	return keys
}

// All that is held is listed, through several pages, each key once, with the tokens of the
// application.
func TestListHeld(t *testing.T) {
	space := mem.NewSpace()
	c := open(t, mem.New(space), &fencelock.Options{TokenBase: 1000, Identity: "me"})
	if keys := listed(t, c, ""); len(keys) > 0 {
		t.Errorf("nothing is held, and listed are %q", keys)
	}
	var want []string
	tokens := make(map[string]*fencelock.Lease)
	for i := range 600 {
		key := fmt.Sprintf("jobs/%03d", i)
		tokens[key] = lock(t, c, key, fencelock.WithMeta(key))
		want = append(want, key)
	}
	other := lock(t, c, "other")
	if keys := listed(t, c, "jobs/"); !slices.Equal(keys, want) {
		t.Errorf("%d are listed, want %d", len(keys), len(want))
	}
	if keys := listed(t, c, ""); len(keys) != 601 {
		t.Errorf("%d are listed of all", len(keys))
	}
	for s, err := range c.ListHeld(t.Context(), "jobs/1") {
		if err != nil {
			t.Fatal(err)
		}
		h := s.Holders[0]
		if h.Token != tokens[s.Key].Token() || h.Identity != "me" || h.Meta != s.Key {
			t.Errorf("ListHeld: %+v, want the token %v", s, tokens[s.Key].Token())
		}
	}
	n := 0
	for _, err := range c.ListHeld(t.Context(), "") {
		if n++; n == 3 || err != nil {
			break
		}
	}
	unlock(t, other)
	for _, l := range tokens {
		unlock(t, l)
	}
}

// pages is a backend that lists what a test says.
type pages struct {
	driver.Backend
	list func(prefix, cursor string, limit int) (driver.Page, error)
}

func (p pages) ListHeld(_ context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	return p.list(prefix, cursor, limit)
}

// A key that a backend lists twice comes once, an empty page does not end the list, and an error
// does.
func TestListHeldPages(t *testing.T) {
	held := func(keys ...string) (some []driver.Status) {
		for _, k := range keys {
			some = append(some, driver.Status{Key: k, Holders: []driver.Holder{{Token: 1}}, Waiters: -1})
		}
		return some
	}
	asked := 0
	c := open(t, pages{mem.New(mem.NewSpace()), func(prefix, cursor string, limit int) (driver.Page, error) {
		if asked++; prefix != "p" || limit != 256 {
			t.Errorf("asked for %q, %d", prefix, limit)
		}
		switch cursor {
		case "":
			return driver.Page{Locks: held("p1", "p2"), Next: "2"}, nil
		case "2":
			return driver.Page{Next: "3"}, nil
		case "3":
			return driver.Page{Locks: held("p2", "p3"), Next: "4"}, nil
		}
		return driver.Page{}, driver.ErrUnavailable
	}}, nil)
	var keys []string
	var last error
	for s, err := range c.ListHeld(t.Context(), "p") {
		if last != nil {
			t.Errorf("%+v, %v after an error", s, err)
		}
		if last = err; err == nil {
			keys = append(keys, s.Key)
		}
	}
	if !slices.Equal(keys, []string{"p1", "p2", "p3"}) || !errors.Is(last, fencelock.ErrUnavailable) || asked != 4 {
		t.Errorf("%q, then %v; %d pages", keys, last, asked)
	}
}

// What is wrong is said by the loop; a client that is closed, too.
func TestListHeldRefuses(t *testing.T) {
	c := open(t, mem.New(mem.NewSpace()), nil)
	var none *fencelock.Client
	closed := open(t, mem.New(mem.NewSpace()), nil)
	_ = closed.Close()
	for what, x := range map[string]struct {
		c      *fencelock.Client
		ctx    context.Context
		prefix string
		kind   error
	}{
		"a nil client":      {none, t.Context(), "", fencelock.ErrInvalid},
		"a closed client":   {closed, t.Context(), "", fencelock.ErrClosed},
		"a nil context":     {c, nil, "", fencelock.ErrInvalid},
		"a dead context":    {c, dead(), "", context.Canceled},
		"a prefix too long": {c, t.Context(), strings.Repeat("x", 1025), fencelock.ErrInvalid},
		"not UTF-8":         {c, t.Context(), "\xff", fencelock.ErrInvalid},
	} {
		n := 0
		for s, err := range x.c.ListHeld(x.ctx, x.prefix) {
			if n++; !errors.Is(err, x.kind) || s.Key != "" {
				t.Errorf("%s: %+v, %v", what, s, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d rounds, want 1", what, n)
		}
	}
}

// Evict says whom, ends exactly that attempt, and not the one after it.
func TestEvictSaysWhom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		c, operator := open(t, f, nil), open(t, mem.New(space), &fencelock.Options{TokenBase: 7})
		attempt := func() (*fencelock.Lease, driver.Holder) {
			l := lock(t, c, "k", fencelock.WithIdentity("a"), fencelock.WithMeta("job"))
			s, err := operator.Inspect(t.Context(), "k")
			if err != nil || !s.Held() {
				t.Fatalf("Inspect: %+v, %v", s, err)
			}
			return l, s.Holders[0]
		}
		for _, byName := range []bool{false, true} {
			l, of := attempt()
			id := ""
			if byName {
				id = of.AttemptID
			}
			got, err := operator.Evict(t.Context(), "k", id)
			if err != nil || len(got) != 1 || got[0] != of || of.Token != l.Token()+7 || of.Meta != "job" {
				t.Errorf("Evict(%q) = %+v, %v; want %+v", id, got, err, of)
			}
			time.Sleep(time.Millisecond)
			if !errors.Is(l.Err(), fencelock.ErrLost) {
				t.Errorf("the holder: %v", l.Err())
			}
			if got, err := operator.Evict(t.Context(), "k", id); !errors.Is(err, fencelock.ErrNotHeld) || len(got) > 0 {
				t.Errorf("Evict of nobody: %+v, %v", got, err)
			}
			next, _ := attempt()
			if _, err := operator.Evict(t.Context(), "k", of.AttemptID); !errors.Is(err, fencelock.ErrNotHeld) || next.Err() != nil {
				t.Errorf("Evict of an attempt that was evicted: %v; the holder: %v", err, next.Err())
			}
			unlock(t, next)
		}
		for _, id := range []string{"a b", strings.Repeat("x", 65), "é"} {
			if _, err := operator.Evict(t.Context(), "k", id); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "Holder.AttemptID") {
				t.Errorf("Evict(%q): %v", id, err)
			}
		}
	})
}

// handsOn is a backend whose lock changes hands after each of the first looks.
type handsOn struct {
	driver.Backend
	changes int
	change  func()
}

func (h *handsOn) Inspect(ctx context.Context, key string) (driver.Status, error) {
	s, err := h.Backend.Inspect(ctx, key)
	if h.changes--; h.changes >= 0 {
		h.change()
	}
	return s, err
}

// A lock that changes hands between the look and the eviction is looked at again; and not for ever.
func TestEvictLooksAgain(t *testing.T) {
	for _, changes := range []int{0, 3, 1000} {
		bubble(t, func(t *testing.T) {
			space := mem.NewSpace()
			c := open(t, mem.New(space), nil)
			held := lock(t, c, "k", fencelock.WithIdentity("0"))
			n := 0
			h := &handsOn{Backend: mem.New(space), changes: changes, change: func() {
				unlock(t, held)
				n++
				held = lock(t, c, "k", fencelock.WithIdentity(fmt.Sprint(n)))
			}}
			operator := open(t, h, nil)
			got, err := operator.Evict(t.Context(), "k", "")
			if changes > 16 {
				if !errors.Is(err, fencelock.ErrNotHeld) || len(got) > 0 || held.Err() != nil || n != 16 {
					t.Errorf("Evict: %+v, %v, after %d changes", got, err, n)
				}
				unlock(t, held)
				return
			}
			if err != nil || len(got) != 1 || got[0].Identity != fmt.Sprint(changes) {
				t.Errorf("Evict: %+v, %v; want %d", got, err, changes)
			}
			if err := held.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
				t.Errorf("the holder: %v", err)
			}
		})
	}
}

// old is a server that cannot evict one attempt alone.
type old struct{ driver.Backend }

func (o old) Evict(ctx context.Context, key, attemptID string) error {
	if attemptID != "" {
		return fmt.Errorf("%w: upgrade the server", driver.ErrUnsupported)
	}
	return o.Backend.Evict(ctx, key, "")
}

// Whoever holds the lock can be evicted from an older server; a given attempt cannot.
func TestEvictOnAnOlderServer(t *testing.T) {
	c := open(t, old{mem.New(mem.NewSpace())}, nil)
	l := lock(t, c, "k", fencelock.WithIdentity("me"))
	if _, err := c.Evict(t.Context(), "k", "someone"); !errors.Is(err, fencelock.ErrUnsupported) || l.Err() != nil {
		t.Errorf("Evict of an attempt: %v; the holder: %v", err, l.Err())
	}
	got, err := c.Evict(t.Context(), "k", "")
	if err != nil || len(got) != 1 || got[0].Identity != "me" {
		t.Errorf("Evict: %+v, %v", got, err)
	}
	<-l.Done()
	_ = l.Unlock(t.Context())
}
