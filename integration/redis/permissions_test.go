package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestPermissions: the permissions that are documented are enough for everything
// that a client does, and without CONFIG GET only durable=true is refused. That the
// list has every command of the scripts, and no other, is a test of backend/redis.
func TestPermissions(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind, keeping()), locktest.Namespace()
			admin := raw(t, s.Addr())
			rules := locktest.Permissions(t, "../../backend/redis/doc.go", ns)
			u := allow(t, admin, s, "enough", rules)
			if err := exercise(t, u, s.Addr(), ns); err != nil {
				t.Fatalf("the documented permissions: %v", err)
			}
			expectDurable(t, u, ns, "CONFIG GET")
			expectDurable(t, allow(t, admin, s, "durable", append(rules, "+config|get")), ns, "")
			if _, err := dialAs(t, u, ns).ListHeld(t.Context(), "", "", 10); !errors.Is(err, driver.ErrRefused) ||
				errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "+scan") {
				t.Errorf("ListHeld without +scan: %v; want ErrRefused that names it", err)
			}
			expectKeys(t, list(t, dialAs(t, allow(t, admin, s, "lister", append(rules, "+scan")), ns), "", 10))
			if err := exercise(t, u, s.Addr(), ns+"2"); err == nil || !strings.Contains(err.Error(), "NOPERM") {
				t.Errorf("in another namespace: %v, want NOPERM", err)
			}
		})
	}
}

// dialAs opens a backend by the URL of a user.
func dialAs(t *testing.T, rawURL, ns string) driver.Backend {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = "namespace=" + ns
	return locktest.Dial(t, redis.Open, u)
}

// allow makes a user with these rules and nothing else, and returns the URL for it.
func allow(t *testing.T, admin *goredis.Client, s *servers.Server, name string, rules []any) string {
	t.Helper()
	args := append([]any{"ACL", "SETUSER", name, "reset", "on", ">" + locktest.Secret}, rules...)
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("ACL SETUSER %s: %v", name, err)
	}
	return (&url.URL{Scheme: "redis", User: url.UserPassword(name, locktest.Secret), Host: s.Addr()}).String()
}

// exercise does all that a client can do, so that each line of the scripts is run.
func exercise(t *testing.T, u, addr, ns string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*locktest.Soon)
	defer cancel()
	c, err := fencelock.Open(ctx, u, &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
	if err != nil {
		return err
	}
	defer c.Close()
	second, err := fencelock.Open(ctx, u, &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
	if err != nil {
		return err
	}
	defer second.Close()
	do := func(l fencelock.Locker, ttl time.Duration) (*fencelock.Lease, error) {
		return l.Lock(ctx, "k", fencelock.WithTTL(ttl))
	}
	// Waited for, confirmed, renewed and handed over.
	held, err := do(c, 600*time.Millisecond)
	if err != nil {
		return fmt.Errorf("Lock: %w", err)
	}
	next := locktest.StartLock(ctx, second, "k", fencelock.WithTTL(600*time.Millisecond))
	first := held.ValidUntil()
	for held.ValidUntil().Equal(first) && held.Err() == nil || time.Until(first) > 0 {
		if s, err := c.Inspect(ctx, "k"); err != nil || !s.Held() {
			return fmt.Errorf("Inspect: %+v, %w", s, err)
		}
		select {
		case a := <-next:
			return fmt.Errorf("the waiter: %w", a.Err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("Unlock: %w", err)
	}
	a := <-next
	if a.Err != nil {
		return fmt.Errorf("the waiter: %w", a.Err)
	}
	// Evicted; cancelled; and the SCRIPT FLUSH of somebody else.
	if _, err := c.Evict(ctx, "k", ""); err != nil {
		return fmt.Errorf("Evict: %w", err)
	}
	locktest.ExpectLost(t, a.Lease, locktest.Soon)
	if err := raw(t, addr).ScriptFlush(ctx).Err(); err != nil {
		return err
	}
	if held, err = do(c, time.Minute); err != nil {
		return fmt.Errorf("Lock: %w", err)
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if l, err := second.Lock(short, "k"); err == nil {
		return fmt.Errorf("a second holder: %v", l.Token())
	}
	awaitWaiters(t, c, "k", 0) // its place is cleaned up
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("Unlock: %w", err)
	}
	return nil
}
