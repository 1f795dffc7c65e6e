package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis/redlock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// allow makes a user on each node with these rules and nothing else.
func (w *env) allow(t *testing.T, name string, rules []any) {
	t.Helper()
	for i, a := range w.admins {
		args := append([]any{"ACL", "SETUSER", name, "reset", "on", ">" + locktest.Secret}, rules...)
		if err := a.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("ACL SETUSER %s on %s: %v", name, w.masters[i].Addr(), err)
		}
	}
}

// as is the URL of a user.
func (w *env) as(name string) string {
	u := url.URL{Scheme: "redlock", User: url.UserPassword(name, locktest.Secret), Host: strings.Join(w.addrs(), ","), RawQuery: w.query.Encode()}
	return u.String()
}

// dialAs opens a backend for a user.
func (w *env) dialAs(t *testing.T, name string) driver.Backend {
	t.Helper()
	u, err := url.Parse(w.as(name))
	if err != nil {
		t.Fatal(err)
	}
	return locktest.Dial(t, redlock.Open, u)
}

// TestPermissions: the permissions that are documented are enough for everything that a client
// does, set-up, repair and the return of a node among them; without one of them Open names it.
func TestPermissions(t *testing.T) {
	t.Parallel()
	w := ownEnv(t, 3)
	rules := locktest.Permissions(t, "../../backend/redis/redlock/doc.go", w.ns)
	w.allow(t, "enough", rules)
	if err := w.exercise(t, "enough", rules); err != nil {
		t.Fatalf("the documented permissions: %v", err)
	}
	w.allow(t, "lister", append(slices.Clone(rules), "+scan"))
	locktest.ExpectKeys(t, locktest.ListHeld(t, w.dialAs(t, "lister"), "", 10))
	if _, err := w.dialAs(t, "enough").ListHeld(t.Context(), "", "", 10); !errors.Is(err, driver.ErrRefused) ||
		errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "+scan") {
		t.Errorf("ListHeld without +scan: %v; want ErrRefused that names it", err)
	}
	for _, r := range rules {
		command := r.(string)
		if !strings.HasPrefix(command, "+") {
			continue
		}
		var rest []any
		for _, other := range rules {
			if other != command {
				rest = append(rest, other)
			}
		}
		w.allow(t, "less", rest)
		said := ""
		var log locktest.Log
		c, err := fencelock.Open(t.Context(), w.as("less"), &fencelock.Options{RequireGuarantee: driver.FencedOrder, Logger: log.Logger()})
		if err != nil {
			said = err.Error()
		} else {
			said = log.String()
			_ = c.Close()
			t.Errorf("Open works without %s, and says %q", command, said)
		}
		name := strings.ReplaceAll(strings.TrimPrefix(command, "+"), "|", " ")
		if !strings.Contains(strings.ToLower(said), name) && !strings.Contains(said, command) {
			t.Errorf("Open without %s: %s", command, said)
		}
		if strings.Contains(said, locktest.Secret) {
			t.Errorf("Open without %s shows the password: %s", command, said)
		}
	}
	w.query.Set("namespace", w.ns+"2")
	expectNoOpening(t, w.as("enough"), "access")
}

// exercise does all that a client can do, so that each line of the scripts is run.
func (w *env) exercise(t *testing.T, user string, rules []any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*locktest.Soon)
	defer cancel()
	var log locktest.Log
	defer func() {
		if t.Failed() || ctx.Err() != nil {
			t.Logf("the log:\n%s", &log)
		}
	}()
	open := func() (*fencelock.Client, error) {
		return fencelock.Open(ctx, w.as(user), &fencelock.Options{TTL: shortTTL, Logger: log.Logger()})
	}
	c, err := open()
	if err != nil {
		return err
	}
	defer c.Close()
	second, err := open()
	if err != nil {
		return err
	}
	defer second.Close()
	// Waited for, confirmed, renewed, repaired by a master that was away and has lost it, handed off.
	held, err := c.Lock(ctx, "k")
	if err != nil {
		return fmt.Errorf("Lock: %w", err)
	}
	w.awaitEverywhere(t, shortTTL+locktest.Soon, held) // on two of three it would not outlive a master
	next := locktest.StartLock(ctx, second, "k")
	w.masters[0].Kill(t)
	w.masters[0].Restart(t)
	w.allow(t, user, rules) // which it has forgotten
	if err := w.admins[0].Del(ctx, w.name("l:k")).Err(); err != nil {
		return err
	}
	for first := held.ValidUntil(); held.ValidUntil().Equal(first) || time.Until(first) > 0 || w.holding("k") < 3; {
		if s, err := c.Inspect(ctx, "k"); err != nil && !errors.Is(err, fencelock.ErrUnavailable) || err == nil && !s.Held() {
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
	locktest.ExpectLost(t, a.Lease, shortTTL+locktest.Soon)
	for _, admin := range w.admins {
		if err := admin.ScriptFlush(ctx).Err(); err != nil {
			return err
		}
	}
	if held, err = c.Lock(ctx, "k"); err != nil {
		return fmt.Errorf("Lock: %w", err)
	}
	soon, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if l, err := second.Lock(soon, "k"); err == nil {
		return fmt.Errorf("a second holder: %v", l.Token())
	}
	locktest.AwaitWaiters(t, locktest.Soon, c, "k", 0) // its position is cleaned up
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("Unlock: %w", err)
	}
	return nil
}
