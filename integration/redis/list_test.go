package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// onEach runs a test on each server that is supported, and on miniredis.
func onEach(t *testing.T, test func(t *testing.T, addr string)) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			test(t, servers.Shared(t, kind).Addr())
		})
	}
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, startMini(t).Addr())
	})
}

// take takes a lock without a core, so that it ends by itself.
func take(t *testing.T, b driver.Backend, key string) driver.Grant {
	t.Helper()
	g, err := b.Acquire(t.Context(), driver.Request{
		Key: key, AttemptID: fmt.Sprintf("a%x", key)[:min(1+2*len(key), 64)], Identity: "job of " + key[:1], Meta: "m\n" + key, TTL: time.Minute,
	})
	if err != nil {
		t.Fatalf("Acquire(%q): %v", key, err)
	}
	return g
}

// TestListHeld: the locks under a prefix are listed, byte for byte, with their holders, whatever
// else the database has.
func TestListHeld(t *testing.T) {
	onEach(t, func(t *testing.T, addr string) {
		ns := locktest.Namespace()
		b, other := dial(t, addr, ns), dial(t, addr, ns+"2")
		locktest.ExpectKeys(t, locktest.ListHeld(t, b, "", 10))
		began := time.Now()
		keys := []string{"a", "a/1", "a/2", `a*`, `a?b`, `a[b]`, `a\E`, `a\`, "a\nb", "a:l", "aé", "b", "{1}:a", "A", strings.Repeat("a", driver.MaxKeyLen)}
		for _, key := range keys {
			take(t, b, key)
			take(t, other, key+"2")
		}
		// What is under our names and is no lock, as somebody else may have put there.
		r := raw(t, addr)
		for _, key := range []string{"a-list", "a-string", "a-number"} {
			var err error
			for _, name := range lockKeys(ns, key) {
				switch key {
				case "a-list":
					err = errors.Join(err, r.RPush(t.Context(), name, "x").Err())
				case "a-string":
					err = errors.Join(err, r.Set(t.Context(), name, "no lock", time.Minute).Err())
				default:
					err = errors.Join(err, r.Set(t.Context(), name, 7, time.Minute).Err())
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Del(context.WithoutCancel(t.Context()), lockKeys(ns, key)...).Err() })
		}
		for _, prefix := range []string{"", "a", "a/", "a/1", "a*", "a?", "a[", `a\`, `a\E`, "a\n", "a:", "{1}:", "A", "aé", "aé"[:2], "none", "?", "*"} {
			var want []string
			for _, key := range keys {
				if strings.HasPrefix(key, prefix) {
					want = append(want, key)
				}
			}
			for _, limit := range []int{1, 4, 256, 100_000} {
				if limit == 1 && len(prefix) != 2 {
					continue // it takes as many requests as the database has names
				}
				locktest.ExpectKeys(t, locktest.ListHeld(t, b, prefix, limit), want...)
			}
		}
		for key, s := range locktest.ListHeld(t, b, "", 100) {
			inspected, err := b.Inspect(t.Context(), key)
			if err != nil || len(s.Holders) != 1 || len(inspected.Holders) != 1 {
				t.Fatalf("%q: listed %+v, inspected %+v, %v", key, s, inspected, err)
			}
			h, same := s.Holders[0], inspected.Holders[0]
			if h.Left <= 50*time.Second-time.Since(began) || h.Left > time.Minute+time.Second {
				t.Errorf("%q: %v left of a minute", key, h.Left)
			}
			h.Left, same.Left = 0, 0
			if h != same || h.Identity != "job of "+key[:1] || h.Meta != "m\n"+key || h.Token == 0 || s.Waiters != -1 {
				t.Errorf("%q: listed %+v (%d waiters), inspected %+v", key, h, s.Waiters, same)
			}
		}
		for _, cursor := range []string{"x", "-1", "0", "1,"} {
			if _, err := b.ListHeld(t.Context(), "", cursor, 10); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("cursor %q: %v, want ErrInvalid", cursor, err)
			}
		}
	})
}

// TestListHeldWhileTheDatabaseChanges: a lock that is held all the while is listed, though the server's table
// grows and shrinks, and though the lock is handed off.
func TestListHeldWhileTheDatabaseChanges(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			b, r := dial(t, s.Addr(), ns), raw(t, s.Addr())
			var held []string
			for n := range 200 {
				held = append(held, fmt.Sprintf("held/%d", n))
				take(t, b, held[n])
			}
			handed := take(t, b, "held/handed")
			held = append(held, handed.Key)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{}, 2)
			go func() { // the table grows to 64 times its size, and shrinks again
				defer func() { done <- struct{}{} }()
				for ctx.Err() == nil {
					for _, do := range []func(p goredis.Pipeliner, name string){
						func(p goredis.Pipeliner, name string) { p.Set(ctx, name, 1, time.Minute) },
						func(p goredis.Pipeliner, name string) { p.Del(ctx, name) },
					} {
						for n := 0; n < 16_000 && ctx.Err() == nil; n += 1000 {
							_, _ = r.Pipelined(ctx, func(p goredis.Pipeliner) error {
								for i := range 1000 {
									do(p, fmt.Sprint("foreign", n+i))
								}
								return nil
							})
						}
					}
				}
			}()
			go func() { // one lock goes from hand to hand
				defer func() { done <- struct{}{} }()
				for n := 0; ctx.Err() == nil; n++ {
					next := make(chan driver.Grant, 1)
					waits := make(chan struct{}, 16)
					go func() {
						g, _ := b.Acquire(ctx, driver.Request{
							Key: handed.Key, AttemptID: fmt.Sprint("next", n), TTL: time.Minute, Wait: true,
							Waiting: func() { waits <- struct{}{} },
						})
						next <- g
					}()
					select {
					case <-waits:
						_ = b.Release(ctx, handed)
					case <-ctx.Done():
					}
					handed = <-next
				}
			}()
			for _, limit := range []int{256, 3, 256, 40, 256, 1000} {
				got := locktest.ListHeld(t, b, "held/", limit)
				locktest.ExpectKeys(t, got, held...)
			}
			stop()
			<-done
			<-done
		})
	}
}

// TestEvictOnlyThatAttempt: an attempt that does not hold the lock is not evicted, and who does stays.
func TestEvictOnlyThatAttempt(t *testing.T) {
	onEach(t, func(t *testing.T, addr string) {
		b := dial(t, addr, locktest.Namespace())
		lost := make(chan error, 4)
		ask := func(attempt string, wait bool, waits func()) (driver.Grant, error) {
			return b.Acquire(t.Context(), driver.Request{
				Key: "k", AttemptID: attempt, TTL: time.Minute, Wait: wait, Waiting: waits,
				Lost: func(why error) { lost <- fmt.Errorf("%s: %w", attempt, why) },
			})
		}
		if err := b.Evict(t.Context(), "k", "first"); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Evict of a lock that is free: %v, want ErrNotHeld", err)
		}
		first, err := ask("first", false, nil)
		if err != nil {
			t.Fatal(err)
		}
		waits, second := make(chan struct{}, 16), make(chan driver.Grant, 1)
		go func() {
			g, err := ask("second", true, func() { waits <- struct{}{} })
			if err != nil {
				t.Errorf("the waiter: %v", err)
			}
			second <- g
		}()
		<-waits
		for _, attempt := range []string{"another", "second", "firs", "first2", "-"} {
			if err := b.Evict(t.Context(), "k", attempt); !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Evict of %q, which does not hold the lock: %v, want ErrNotHeld", attempt, err)
			}
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
		if err := b.Evict(t.Context(), "k", "first"); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Evict once more: %v, want ErrNotHeld", err)
		}
		if r := b.Renew(t.Context(), []driver.Grant{next}); r[0].Err != nil {
			t.Errorf("the next holder was hit: %v", r[0].Err)
		}
		if err := b.Evict(t.Context(), "k", "second"); err != nil {
			t.Errorf("Evict of the second: %v", err)
		}
	})
}

// TestHeldErrorSaysWho: a TryLock that loses learns who holds the lock, and for how long.
func TestHeldErrorSaysWho(t *testing.T) {
	onEach(t, func(t *testing.T, addr string) {
		b := dial(t, addr, locktest.Namespace())
		take(t, b, "k")
		_, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "late", TTL: time.Second})
		var held *driver.HeldError
		if !errors.As(err, &held) || held.Identity != "job of k" || held.Left < 50*time.Second || held.Left > time.Minute+time.Second {
			t.Errorf("%+v (%v); want who holds it, and about a minute", held, err)
		}
	})
}
