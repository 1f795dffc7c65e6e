package raftlocal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/shared"
	"github.com/fencelock/fencelock/driver"
)

// user is a user of a place, and its part in it.
type user struct {
	*backend
	share *shared.Share
}

func use(t *testing.T, c Options) user {
	t.Helper()
	c, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	b, share, err := openShared(within(t, 10*time.Second), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return user{b, share}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func request(key, owner string, wait bool) driver.Request {
	return driver.Request{Key: key, AttemptID: owner, TTL: 10 * time.Second, Wait: wait}
}

// take takes a lock, again and again where it is not known what became of it, as the core does.
func take(t *testing.T, b driver.Backend, r driver.Request) driver.Grant {
	t.Helper()
	ctx := within(t, 10*time.Second)
	for {
		g, err := b.Acquire(ctx, r)
		switch {
		case err == nil:
			return g
		case errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil:
			r.Retry = true
		default:
			t.Fatalf("acquire %s: %v", r.Key, err)
		}
	}
}

// both are the ways in which processes of a machine share locks.
func both(t *testing.T, f func(t *testing.T, c Options)) {
	t.Helper()
	t.Run("Directory", func(t *testing.T) { f(t, Options{Dir: filepath.Join(t.TempDir(), "locks")}) })
	t.Run("Memory", func(t *testing.T) { f(t, Options{Memory: t.Name()}) })
}

func TestSharedByTwo(t *testing.T) {
	both(t, func(t *testing.T, c Options) {
		a, b := use(t, c), use(t, c)
		if a.share.Server() == nil || b.share.Server() != nil {
			t.Fatal("the first serves, and the second does not")
		}
		g := take(t, a, request("k", "first", false))
		if _, err := b.Acquire(t.Context(), request("k", "second", false)); !errors.Is(err, driver.ErrHeld) {
			t.Fatalf("the other got %v, want ErrHeld", err)
		}
		waited := make(chan driver.Grant, 1)
		go func() { waited <- take(t, b, request("k", "third", true)) }()
		if err := a.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if next := <-waited; next.Token <= g.Token {
			t.Errorf("token %d after %d", next.Token, g.Token)
		}
		other := c
		other.Namespace = "other"
		take(t, use(t, other), request("k", "fourth", false))
	})
}

// When the process that serves is killed, another takes over with all locks and queues, in much
// less than a second.
func TestTakeOver(t *testing.T) {
	both(t, func(t *testing.T, c Options) {
		first := use(t, c)
		others := []user{use(t, c), use(t, c), use(t, c)}
		held := take(t, others[0], request("held", "owner", false))
		waiting := make(chan driver.Grant, 1)
		go func() { waiting <- take(t, others[1], request("held", "waiter", true)) }()
		for {
			s, err := others[2].Inspect(t.Context(), "held")
			if err != nil {
				t.Fatal(err)
			}
			if s.Waiters == 1 {
				break
			}
		}
		// The process is gone: its server, and its client with it.
		began := time.Now()
		first.share.Kill()
		killed := time.Since(began)
		again, err := others[0].Acquire(within(t, 10*time.Second), request("held", "owner", false))
		took := time.Since(began)
		if err != nil || again.Token != held.Token {
			t.Fatalf("after the kill: token %d, %v, want %d", again.Token, err, held.Token)
		}
		t.Logf("killed in %v, taken over after %v", killed, took)
		if took > 2*time.Second {
			t.Errorf("it took %v until another served", took)
		}
		serving := 0
		for _, u := range others {
			if u.share.Server() != nil {
				serving++
			}
		}
		if serving != 1 {
			t.Errorf("%d serve", serving)
		}
		if err := others[0].Release(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if g := <-waiting; g.Token <= held.Token {
			t.Errorf("token %d after %d", g.Token, held.Token)
		}
	})
}

// Close of the process that serves lets another serve at once, again and again, and nothing is lost.
func TestHandOffAtClose(t *testing.T) {
	both(t, func(t *testing.T, c Options) {
		serving := use(t, Options{Dir: c.Dir, Memory: c.Memory})
		held := take(t, serving, request("held", "owner", false))
		last := held.Token
		for i := range 5 {
			next := use(t, c)
			began := time.Now()
			if err := serving.Close(); err != nil {
				t.Fatal(err)
			}
			closed := time.Since(began)
			again := take(t, next, request("held", "owner", false))
			t.Logf("closed in %v, taken over after %v", closed, time.Since(began))
			if again.Token != held.Token {
				t.Fatalf("round %d: token %d, want %d", i, again.Token, held.Token)
			}
			g := take(t, next, request("other", fmt.Sprint(i), true))
			if g.Token <= last {
				t.Errorf("token %d after %d", g.Token, last)
			}
			last = g.Token
			if err := next.Release(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			serving = next
		}
	})
}

// What was granted is there when all have ended and one comes back.
func TestDirectoryLasts(t *testing.T) {
	c := Options{Dir: t.TempDir()}
	first := use(t, c)
	held := take(t, first, request("k", "owner", false))
	first.share.Kill()
	_ = first.Close()
	if again := take(t, use(t, c), request("k", "owner", false)); again.Token != held.Token {
		t.Errorf("token %d, want %d", again.Token, held.Token)
	}
}

// Locks in memory are gone with the last who has them.
func TestMemoryEnds(t *testing.T) {
	c := Options{Memory: t.Name()}
	first := use(t, c)
	take(t, first, request("k", "owner", false))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	take(t, use(t, c), request("k", "another", false))
}

func TestDirectoryIsRefused(t *testing.T) {
	open := func(dir string) error {
		b, err := New(within(t, 10*time.Second), &Options{Dir: dir})
		if err == nil {
			_ = b.Close()
		}
		return err
	}
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, cure := range map[string]string{shared: "chmod 700", file: "name a directory"} {
		if err := open(dir); err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("%s: %v, want %q in it", dir, err, cure)
		}
	}
	// A path that is too long for a socket's address is none that is refused.
	if err := open(filepath.Join(t.TempDir(), strings.Repeat("long", 50))); err != nil {
		t.Error(err)
	}
}
