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
			locktest.ExpectKeys(t, locktest.ListHeld(t, dialAs(t, allow(t, admin, s, "lister", append(rules, "+scan")), ns), "", 10))
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
	// Waited for, confirmed, renewed and handed off.
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
	awaitWaiters(t, c, "k", 0) // its position is cleaned up
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("Unlock: %w", err)
	}
	return nil
}

// expectOpenRefused wants Open to say that the server refuses, for good or for now, and why.
func expectOpenRefused(t *testing.T, u, ns string, passes bool, why ...string) {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
	if err == nil {
		_ = c.Close()
		t.Errorf("Open succeeds; want an error that says %q", why)
		return
	}
	if !errors.Is(err, fencelock.ErrRefused) || errors.Is(err, fencelock.ErrUnavailable) != passes {
		t.Errorf("Open: %v; want ErrRefused, unavailable %v", err, passes)
	}
	for _, w := range append(why, "redis://") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("Open: %v; want an error that says %q", err, w)
		}
	}
	for _, never := range []string{"The head of", "redis.call", locktest.Secret, url.QueryEscape(locktest.Secret)} {
		if strings.Contains(err.Error(), never) {
			t.Errorf("Open: %v; it shows %q", err, never)
		}
	}
}

// TestOpenNamesWhatIsForbidden: each command that is missing in the ACL is found at Open,
// and named with what to add.
func TestOpenNamesWhatIsForbidden(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			admin := raw(t, s.Addr())
			rules := locktest.Permissions(t, "../../backend/redis/doc.go", ns)
			without := func(command string) []any {
				var rest []any
				for _, r := range rules {
					if r != command {
						rest = append(rest, r)
					}
				}
				return rest
			}
			for _, r := range rules {
				command, ok := r.(string), strings.HasPrefix(r.(string), "+")
				if !ok {
					continue
				}
				why := command
				switch command {
				case "+info", "+evalsha": // not a command of ours comes through: the server's own words
					why = "'" + command[1:] + "'"
				case "+script|load":
					why = "SCRIPT LOAD"
				}
				expectOpenRefused(t, allow(t, admin, s, "u", without(command)), ns, false, "NOPERM", why)
			}
			expectOpenRefused(t, allow(t, admin, s, "u", append(rules, "-del", "-hlen")), ns, false, "+del", "+hlen")
			expectOpenRefused(t, allow(t, admin, s, "u", append(rules, "resetkeys", "~other:*")), ns, false, "~"+ns+":*")
			expectOpenRefused(t, allow(t, admin, s, "u", append(rules, "resetchannels", "&other:*")), ns, false, "&"+ns+":c:*")

			enough := allow(t, admin, s, "u", rules)
			expectOpenRefused(t, enough+"/1", ns, false, "select")
			if err := exercise(t, allow(t, admin, s, "u", append(rules, "+select"))+"/1", s.Addr(), ns); err != nil {
				t.Errorf("with +select: %v", err)
			}
			u := url.URL{Scheme: "redis", Host: s.Addr(), User: url.UserPassword("u", locktest.Secret+"x")}
			expectOpenRefused(t, u.String(), ns, false, "WRONGPASS")
			set(t, admin, []string{"maxclients", "1"})
			expectOpenRefused(t, enough, ns, true, "max number of clients")
		})
	}
}

// TestOpenNamesWhatIsRenamed: commands that rename-command took away are found at Open.
func TestOpenNamesWhatIsRenamed(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for command, why := range map[string]string{
				"DEL": "does not know del", "PUBLISH": "does not know publish", "EVAL": "does not know eval",
				"EVALSHA": "unknown command 'evalsha'", "SCRIPT": "unknown command 'script'", "INFO": "unknown command 'info'",
			} {
				s := servers.Start(t, kind, servers.Args("--rename-command", command, "GONE"))
				expectOpenRefused(t, "redis://"+s.Addr(), locktest.Namespace(), false, why)
			}
			// The password is an argument of what the server does not know.
			s := servers.Start(t, kind, servers.Args("--rename-command", "AUTH", "GONE", "--rename-command", "HELLO", "GONE2", "--requirepass", locktest.Secret))
			expectOpenRefused(t, "redis://"+url.UserPassword("", locktest.Secret).String()+"@"+s.Addr(), locktest.Namespace(), false) // in various words
			// Without CONFIG, how often the server syncs its file is not known.
			s = servers.Start(t, kind, servers.Args("--rename-command", "CONFIG", "GONE"), keeping())
			expectOpen(t, "redis://"+s.Addr(), "does not tell its appendfsync")
		})
	}
}

// TestRefusedHalfWay: where something was written before the server refused to go on, the
// error leaves open what was done. Open would have found out; so the command is forbidden later.
func TestRefusedHalfWay(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			b, waiting := dial(t, s.Addr(), ns), open(t, s.Addr(), ns, time.Minute)
			held, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "o", TTL: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			next := locktest.StartLock(t.Context(), waiting, "k")
			awaitWaiters(t, waiting, "k", 1)
			admin := operator{raw(t, s.Addr()), t}
			admin.do([]string{"ACL SETUSER default -hdel"}) // which takes the waiter off the queue, when the token is made
			err = b.Release(t.Context(), held)
			if err == nil || !strings.Contains(err.Error(), "HALFWAY") ||
				errors.Is(err, driver.ErrRefused) || errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Release = %v; want an error that leaves it open", err)
			}
			if err := b.Renew(t.Context(), []driver.Grant{held})[0].Err; err != nil {
				t.Errorf("Renew = %v; the lock has not changed", err)
			}
			admin.do([]string{"ACL SETUSER default +hdel"})
			if err := b.Release(t.Context(), held); err != nil {
				t.Errorf("Release = %v", err)
			}
			if l := locktest.ExpectLock(t, next, 25*time.Second); l.Token() <= held.Token {
				t.Errorf("token %v after %v", l.Token(), held.Token)
			}
		})
	}
}
