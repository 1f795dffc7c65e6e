package fencelock_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/internal/both"
)

// high is a server whose tokens are those of Redis.
type high struct{ driver.Backend }

const micros fencing.Token = 1_795_000_000_000_000

func (h high) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	g, err := h.Backend.Acquire(ctx, req)
	g.Token += micros
	return g, err
}

func (h high) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	low := make([]driver.Grant, len(grants))
	for i, g := range grants {
		low[i] = h.low(g)
	}
	return h.Backend.Renew(ctx, low)
}

func (h high) Release(ctx context.Context, g driver.Grant) error {
	return h.Backend.Release(ctx, h.low(g))
}

func (high) low(g driver.Grant) driver.Grant {
	if g.Token != 0 {
		g.Token -= micros
	}
	return g
}

func (h high) Inspect(ctx context.Context, key string) (driver.Status, error) {
	s, err := h.Backend.Inspect(ctx, key)
	if s.Held() {
		s.Holders[0].Token += micros
	}
	return s, err
}

var (
	oldSpace = mem.NewSpace()
	newSpace = mem.NewSpace()
)

func init() {
	fencelock.Register("old", func(context.Context, *url.URL, driver.OpenOptions) (driver.Backend, error) {
		return high{mem.New(oldSpace)}, nil
	})
	fencelock.Register("new", func(context.Context, *url.URL, driver.OpenOptions) (driver.Backend, error) {
		return mem.New(newSpace), nil
	})
}

func openURL(t *testing.T, u string) *fencelock.Client {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Logger: quiet()})
	if err != nil {
		t.Fatalf("Open(%q): %v", u, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func openBoth(t *testing.T, was, is string) *fencelock.Client {
	t.Helper()
	c, err := fencelock.OpenBoth(t.Context(), was, is, &fencelock.Options{Logger: quiet()})
	if err != nil {
		t.Fatalf("OpenBoth(%q, %q): %v", was, is, err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// Who holds one lock, old or new, and who holds both keep each other out.
func TestOpenBothExcludes(t *testing.T) {
	older, newer := openURL(t, "old://h"), openURL(t, "new://h?token_base=2000000000000000")
	pair := openBoth(t, "old://h", "new://h?token_base=2000000000000000")
	if name := pair.Info().Name; name != "mem+mem" {
		t.Errorf("Info.Name = %q", name)
	}
	for _, pairing := range []struct {
		name         string
		holder, late *fencelock.Client
		token        fencing.Token // more than
	}{
		{"old, then both", older, pair, micros},
		{"both, then old", pair, older, base},
		{"new, then both", newer, pair, base},
		{"both, then new", pair, newer, base},
		{"both, then both", pair, openBoth(t, "old://h", "new://h?token_base=2000000000000000"), base},
	} {
		held := lock(t, pairing.holder, "k")
		if held.Token() <= pairing.token || held.Token() > pairing.token+1000 {
			t.Errorf("%s: the token is %v, want little more than %v", pairing.name, held.Token(), pairing.token)
		}
		if _, err := pairing.late.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("%s: %v, want ErrHeld", pairing.name, err)
		}
		if s, err := pair.Inspect(t.Context(), "k"); err != nil || !s.Held() || s.Holders[0].Token != held.Token() {
			t.Errorf("%s: Inspect = %+v, %v; want the token %v", pairing.name, s, err, held.Token())
		}
		if _, err := pair.Evict(t.Context(), "k", ""); err != nil {
			t.Errorf("%s: Evict: %v", pairing.name, err)
		}
		<-held.Done()
		if err := held.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("%s: Unlock after an eviction: %v", pairing.name, err)
		}
		next := lock(t, pairing.late, "k")
		unlock(t, next)
		free(t, pair, "k")
	}
}

// What one of the servers is warned of is told, and logged once.
func TestOpenBothWarns(t *testing.T) {
	var log bytes.Buffer
	c, err := fencelock.OpenBoth(t.Context(), "warned://?namespace=ours", "mem://warned-both?namespace=ours", &fencelock.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatalf("OpenBoth: %v", err)
	}
	if w := c.Info().Warnings; len(w) != 1 {
		t.Errorf("Warnings = %q", w)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if n := strings.Count(log.String(), "the server forgets"); n != 1 {
		t.Errorf("it was logged %d times: %s", n, log.String())
	}
}

func TestOpenBothRefuses(t *testing.T) {
	for _, test := range []struct{ was, is, says string }{
		{"nobody://h", "new://h", "the old server"},
		{"old://h", "nobody://h", "the new server"},
		{"old://h?token_base=x", "new://h", "the old server"},
		{"old://h", "old://h?token_base=2000000000000000", "same server"},
	} {
		c, err := fencelock.OpenBoth(t.Context(), test.was, test.is, &fencelock.Options{Logger: quiet()})
		if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("OpenBoth(%q, %q) = %v, %v; want ErrInvalid that says %q", test.was, test.is, c, err, test.says)
		}
	}
	// A base that is too low shows with the first lock, and the error has the number.
	for _, base := range []string{"", "?token_base=1"} {
		pair := openBoth(t, "old://h?token_base=5", "new://h"+base)
		l, err := pair.Lock(t.Context(), "low")
		if err == nil {
			unlock(t, l)
		}
		if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "token_base=") {
			t.Errorf("base %q: Lock = %v; want ErrInvalid and token_base=", base, err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for s, _ := pair.Inspect(t.Context(), "low"); s.Held() && time.Now().Before(deadline); s, _ = pair.Inspect(t.Context(), "low") {
			time.Sleep(time.Millisecond)
		}
		free(t, pair, "low") // both were given back
	}
	// Whoever does as it says gets on, though the old server goes on granting.
	low := openBoth(t, "old://h", "new://h")
	_, err := low.Lock(t.Context(), "cure")
	if err == nil {
		t.Fatal("a token that falls is granted")
	}
	_, cure, _ := strings.Cut(err.Error(), "token_base= in the new URL to ")
	cure, _, _ = strings.Cut(cure, ".")
	if cure != "1900000000000000" {
		t.Errorf("the number in %v; want one with room", err)
	}
	cured := openBoth(t, "old://h", "new://h?token_base="+cure)
	unlock(t, lock(t, cured, "cure"))
}

// A lease of both ends when either lock does, and Unlock frees what is left.
func TestBothEndTogether(t *testing.T) {
	for _, which := range []string{"old", "new"} {
		t.Run(which, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				spaces := map[string]*mem.Space{"old": mem.NewSpace(), "new": mem.NewSpace()}
				c := open(t, pairOf(mem.New(spaces["old"]), mem.New(spaces["new"])), nil)
				l := lock(t, c, "k")
				time.Sleep(10*fencelock.DefaultTTL + second) // both are renewed, and not just now
				if err := l.Err(); err != nil {
					t.Fatalf("lost: %v", err)
				}
				if err := mem.New(spaces[which]).Evict(t.Context(), "k", ""); err != nil {
					t.Fatalf("Evict: %v", err)
				}
				began := time.Now()
				<-l.Done()
				if err := l.Err(); !errors.Is(err, fencelock.ErrLost) {
					t.Errorf("Err = %v, want ErrLost", err)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("the loss was told after %v, though the server tells at once", took)
				}
				if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
					t.Errorf("Unlock = %v, want ErrLost", err)
				}
				time.Sleep(second) // for the janitor
				free(t, c, "k")
			})
		})
	}
}

func pairOf(older, newer driver.Backend) driver.Backend {
	return both.New(older, newer, 0, func(_, _ fencing.Token) error { return nil })
}

// Nor may an attempt wait for the old lock when its request for the new one got no answer,
// and may have got the lock.
func TestBothDoesNotWaitWithTheNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		oldSpace, newSpace := mem.NewSpace(), mem.NewSpace()
		older := open(t, mem.New(oldSpace), nil)
		a, b := newFaulty(oldSpace), newFaulty(newSpace)
		c := open(t, pairOf(a, b), nil)
		b.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			b.onAcquire(nil)
			if _, err := b.Backend.Acquire(ctx, req); err != nil {
				t.Errorf("Acquire: %v", err)
			}
			return driver.Grant{}, driver.ErrUnavailable // the reply is lost
		})
		// The old lock has gone when it is asked for again.
		var thief *fencelock.Lease
		a.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			if req.Retry {
				a.onAcquire(nil)
				if _, err := older.Evict(ctx, "k", ""); err != nil {
					t.Errorf("Evict: %v", err)
				}
				thief = lock(t, older, "k")
			}
			return a.Backend.Acquire(ctx, req)
		})
		got := make(chan *fencelock.Lease)
		go func() {
			l, err := c.Lock(context.Background(), "k")
			if err != nil {
				t.Errorf("Lock: %v", err)
			}
			got <- l
		}()
		time.Sleep(fencelock.DefaultTTL / 2) // the claim to the new lock would live for longer
		if s, err := mem.New(newSpace).Inspect(t.Context(), "k"); err != nil || s.Held() || s.Waiters != 0 {
			t.Errorf("the new lock: %+v, %v; want it free while the old is another's", s, err)
		}
		unlock(t, thief)
		l := <-got
		if err := l.Err(); err != nil {
			t.Errorf("the lease has ended: %v", err)
		}
		unlock(t, l)
		free(t, c, "k")
	})
}

// A TryLock that finds the new lock held has given the old one back when it returns.
func TestBothTryLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		oldSpace, newSpace := mem.NewSpace(), mem.NewSpace()
		older, newer := open(t, mem.New(oldSpace), nil), open(t, mem.New(newSpace), nil)
		c := open(t, pairOf(mem.New(oldSpace), mem.New(newSpace)), nil)
		held := lock(t, newer, "k")
		if _, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock = %v, want ErrHeld", err)
		}
		l, err := older.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatalf("the old lock after it: %v", err)
		}
		unlock(t, l)
		unlock(t, held)
	})
}

// slow is a server whose answers take a while.
type slow struct {
	driver.Backend
	by time.Duration
}

func (s slow) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	time.Sleep(s.by)
	return s.Backend.Acquire(ctx, req)
}

func (s slow) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	time.Sleep(s.by)
	return s.Backend.Renew(ctx, grants)
}

// A lease of both is trusted for as long as the one that ends first, whichever was asked
// earlier.
func TestBothTrustTheShorter(t *testing.T) {
	for name, by := range map[string][2]time.Duration{"the new is slow": {0, second}, "the old is slow": {second, 0}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				spaces := [2]*mem.Space{mem.NewSpace(), mem.NewSpace()}
				pair := pairOf(slow{mem.New(spaces[0]), by[0]}, slow{mem.New(spaces[1]), by[1]})
				check := func(when string, start time.Time, ttl time.Duration) {
					t.Helper()
					for i, space := range spaces {
						s, err := mem.New(space).Inspect(t.Context(), "k")
						if err != nil || !s.Held() {
							t.Fatalf("%s: Inspect of %d = %+v, %v", when, i, s, err)
						}
						if left := time.Until(start.Add(ttl)); left > s.Holders[0].Left {
							t.Errorf("%s: the grant has %v left, and %v on server %d", when, left, s.Holders[0].Left, i)
						}
					}
				}
				g, err := pair.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "me", TTL: 10 * second, Wait: true})
				if err != nil {
					t.Fatalf("Acquire: %v", err)
				}
				check("granted", g.Start, g.TTL)
				time.Sleep(second)
				r := pair.Renew(t.Context(), []driver.Grant{g})[0]
				if r.Err != nil {
					t.Fatalf("Renew: %v", r.Err)
				}
				check("renewed", r.Start, r.TTL)
			})
		})
	}
}

// Who waits for the new lock keeps the old one, for longer than any TTL.
func TestBothKeepsTheOldWhileItWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		oldSpace, newSpace := mem.NewSpace(), mem.NewSpace()
		older, newer := open(t, mem.New(oldSpace), nil), open(t, mem.New(newSpace), nil)
		c := open(t, pairOf(mem.New(oldSpace), mem.New(newSpace)), nil)
		held := lock(t, newer, "k")
		got := make(chan *fencelock.Lease)
		go func() {
			l, err := c.Lock(context.Background(), "k")
			if err != nil {
				t.Errorf("Lock: %v", err)
			}
			got <- l
		}()
		for range 20 {
			time.Sleep(fencelock.DefaultTTL / 2)
			if _, err := older.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
				t.Fatalf("the old lock during the wait: %v, want ErrHeld", err)
			}
		}
		unlock(t, held)
		l := <-got
		if err := l.Err(); err != nil {
			t.Errorf("the lease has ended: %v", err)
		}
		unlock(t, l)
		free(t, c, "k")
	})
}

// If the old lock goes during that wait, the attempt begins again, in the right order: a
// claim to the new lock that stayed would wait for the old one.
func TestBothBeginsAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		oldSpace, newSpace := mem.NewSpace(), mem.NewSpace()
		older, newer := open(t, mem.New(oldSpace), nil), open(t, mem.New(newSpace), nil)
		c := open(t, pairOf(mem.New(oldSpace), mem.New(newSpace)), nil)
		held := lock(t, newer, "k")
		got := make(chan *fencelock.Lease)
		go func() {
			l, err := c.Lock(context.Background(), "k")
			if err != nil {
				t.Errorf("Lock: %v", err)
			}
			got <- l
		}()
		time.Sleep(second)
		if _, err := older.Evict(t.Context(), "k", ""); err != nil {
			t.Fatalf("Evict: %v", err)
		}
		thief := lock(t, older, "k")
		time.Sleep(fencelock.DefaultTTL / 8)
		if s, err := newer.Inspect(t.Context(), "k"); err != nil || s.Waiters != 0 {
			t.Errorf("the new lock has %d waiters (%v), want none while the old is another's", s.Waiters, err)
		}
		unlock(t, held)
		unlock(t, thief)
		l := <-got
		if err := l.Err(); err != nil {
			t.Errorf("the lease has ended: %v", err)
		}
		unlock(t, l)
		free(t, c, "k")
	})
}

// While programs that have the old lock only run beside those that have both, their tokens
// are lower. A resource refuses them once it has seen one of the new. It must have seen it
// before the work begins: a holder of both that is paused before its first write would else
// write after the next holder of the old lock has, whose token is lower.
func TestBothTokenIsShownFirst(t *testing.T) {
	for _, shown := range []bool{false, true} {
		older, pair := openURL(t, "old://h"), openBoth(t, "old://h", "new://h?token_base=2000000000000000")
		var gate fencing.Gate
		first := lock(t, pair, "doc")
		if shown {
			if err := gate.Admit("doc", first.Token()); err != nil {
				t.Fatalf("Admit: %v", err)
			}
			if err := first.Err(); err != nil { // after that, not before
				t.Fatalf("Err: %v", err)
			}
		}
		if _, err := pair.Evict(t.Context(), "doc", ""); err != nil { // it is paused, and its lease runs out
			t.Fatalf("Evict: %v", err)
		}
		second := lock(t, older, "doc")
		write := gate.Admit("doc", second.Token())
		late := gate.Admit("doc", first.Token())
		if shown && (!errors.Is(write, fencing.ErrStale) || late != nil) {
			t.Errorf("shown first: the old holder's write: %v, want it refused; the late one's: %v", write, late)
		}
		if !shown && (write != nil || late != nil) {
			t.Errorf("not shown: %v, %v; the page says that both are accepted", write, late)
		}
		unlock(t, second)
		_ = first.Unlock(t.Context())
	}
}
