package redlock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// take takes a lock without a core, so that it ends by itself.
func take(t *testing.T, b driver.Backend, key string) driver.Grant {
	t.Helper()
	g, err := b.Acquire(t.Context(), driver.Request{
		Key: key, AttemptID: fmt.Sprintf("a%x", key)[:min(1+2*len(key), 64)], Identity: "job of " + key[:1], Meta: "m\n" + key, TTL: longTTL,
	})
	if err != nil {
		t.Fatalf("Acquire(%q): %v", key, err)
	}
	return g
}

// TestListHeld: the locks under a prefix are listed, byte for byte and once, with their holders, whatever else the
// databases have, and without a node.
func TestListHeld(t *testing.T) {
	t.Parallel()
	w, foreign := sharedEnv(t, 3), sharedEnv(t, 3)
	l := w.links(t)
	b, other := w.dial(t, l), foreign.dial(t, foreign.links(t))
	locktest.ExpectKeys(t, locktest.ListHeld(t, b, "", 10))
	began := time.Now()
	keys := []string{"a", "a/1", "a/2", `a*`, `a?b`, `a[b]`, `a\E`, `a\`, "a\nb", "a:l", "aé", "b", "{1}:a", "A", strings.Repeat("a", driver.MaxKeyLen)}
	for _, key := range keys {
		take(t, b, key)
		take(t, other, "a"+key[1:])
	}
	// Under our names, and no locks: somebody else's data, and what one node alone has.
	for i, a := range w.admins {
		if err := errors.Join(
			a.RPush(t.Context(), w.name("l:a-list"), "x").Err(),
			a.Set(t.Context(), w.name("l:a-string"), "no lock", longTTL).Err(),
		); err != nil {
			t.Fatal(err)
		}
		defer a.Del(t.Context(), w.name("l:a-list"))
		if i == 1 {
			if err := a.Set(t.Context(), w.name("l:a-lone"), "lone 1 - 7 60000 ", longTTL).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(limits ...int) {
		for _, prefix := range []string{"", "a", "a/", "a/1", "a*", "a?", "a[", `a\`, `a\E`, "a\n", "a:", "{1}:", "A", "aé", "aé"[:2], "none", "?", "*"} {
			var want []string
			for _, key := range keys {
				if strings.HasPrefix(key, prefix) {
					want = append(want, key)
				}
			}
			for _, limit := range limits {
				locktest.ExpectKeys(t, locktest.ListHeld(t, b, prefix, limit), want...)
			}
		}
	}
	check(4, 1000)
	locktest.ExpectKeys(t, locktest.ListHeld(t, b, "a/", 1), "a/1", "a/2")
	for key, s := range locktest.ListHeld(t, b, "", 100) {
		inspected, err := b.Inspect(t.Context(), key)
		if err != nil || len(s.Holders) != 1 || len(inspected.Holders) != 1 {
			t.Fatalf("%q: listed %+v, inspected %+v, %v", key, s, inspected, err)
		}
		h, same := s.Holders[0], inspected.Holders[0]
		if h.Left <= longTTL-locktest.Soon-time.Since(began) || h.Left > longTTL+time.Second {
			t.Errorf("%q: %v left of %v", key, h.Left, longTTL)
		}
		h.Left, same.Left = 0, 0
		if h != same || h.Identity != "job of "+key[:1] || h.Meta != "m\n"+key || h.Token == 0 || s.Waiters != -1 {
			t.Errorf("%q: listed %+v (%d waiters), inspected %+v", key, h, s.Waiters, same)
		}
	}
	if err := w.admins[1].Del(t.Context(), w.name("l:a-lone")).Err(); err != nil { // with a master away it could be a lock
		t.Fatal(err)
	}
	l[0].Blackhole()
	check(1000)
	l[1].Blackhole()
	var err error
	for cursor, pages := "", 0; err == nil && pages < 5; pages++ {
		var page driver.Page
		page, err = b.ListHeld(t.Context(), "", cursor, 10)
		cursor = page.Next
	}
	if !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("without a majority: %v", err)
	}
	l.each((*proxy.Proxy).Heal)
}

// TestListHeldThroughARestart: a lock that is held all the while is listed, though nodes are restarted, one after the
// other, while pages are asked for.
func TestListHeldThroughARestart(t *testing.T) {
	t.Parallel()
	w := ownEnv(t, 3)
	b := w.dial(t, w.links(t))
	var held []string
	for n := range 300 {
		held = append(held, fmt.Sprint("held/", n))
		take(t, b, held[n])
	}
	got, pages, kill := make(map[string]driver.Status), 0, 0
	for cursor := ""; ; {
		page, err := b.ListHeld(t.Context(), "held/", cursor, 40)
		if errors.Is(err, driver.ErrUnavailable) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Locks {
			got[s.Key] = s
		}
		if cursor = page.Next; cursor == "" {
			break
		}
		if pages++; pages%5 == 3 && kill < 3 {
			w.masters[kill].Kill(t)
			w.masters[kill].Restart(t)
			kill++
		}
	}
	locktest.ExpectKeys(t, got, held...)
	if kill == 0 {
		t.Errorf("no master was restarted in %d pages", pages)
	}
}

// TestEvictOnlyThatAttempt: an attempt that does not hold the lock is not evicted, and who does stays.
func TestEvictOnlyThatAttempt(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	b := w.dial(t, w.links(t))
	lost := make(chan error, 4)
	ask := func(attempt string, wait bool, waits func()) (driver.Grant, error) {
		return b.Acquire(t.Context(), driver.Request{
			Key: "k", AttemptID: attempt, TTL: longTTL, Wait: wait, Waiting: waits,
			Lost: func(why error) { lost <- fmt.Errorf("%s: %w", attempt, why) },
		})
	}
	expectNotHeld := func(attempt string) {
		t.Helper()
		if err := b.Evict(t.Context(), "k", attempt); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Evict of %q, which does not hold the lock: %v, want ErrNotHeld", attempt, err)
		}
	}
	expectNotHeld("first")
	first, err := ask("first", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	waits, second := make(chan struct{}, 16), make(chan driver.Grant, 1)
	go func() {
		g, err := ask("second", true, func() {
			select {
			case waits <- struct{}{}:
			default:
			}
		})
		if err != nil {
			t.Errorf("the waiter: %v", err)
		}
		second <- g
	}()
	<-waits
	for _, attempt := range []string{"another", "second", "firs", "first2", "-"} {
		expectNotHeld(attempt)
	}
	if r := b.Renew(t.Context(), []driver.Grant{first}); r[0].Err != nil {
		t.Fatalf("the holder was evicted: %v", r[0].Err)
	}
	if err := b.Evict(t.Context(), "k", "first"); err != nil {
		t.Fatalf("Evict of the holder: %v", err)
	}
	next := <-second
	if next.Token <= first.Token {
		t.Errorf("token %v after %v", next.Token, first.Token)
	}
	if err := <-lost; !errors.Is(err, driver.ErrEvicted) || !strings.HasPrefix(err.Error(), "first:") {
		t.Errorf("told: %v; want ErrEvicted to the first", err)
	}
	expectNotHeld("first")
	if r := b.Renew(t.Context(), []driver.Grant{next}); r[0].Err != nil {
		t.Errorf("the next holder was hit: %v", r[0].Err)
	}
	if err := b.Evict(t.Context(), "k", "second"); err != nil {
		t.Errorf("Evict of the second: %v", err)
	}
}
