package redis_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

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
			expectOpenRefused(t, allow(t, admin, s, "u", append(rules, "-del", "-zrem")), ns, false, "+del", "+zrem")
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
			admin.do([]string{"ACL SETUSER default -set"})
			err = b.Release(t.Context(), held)
			if err == nil || !strings.Contains(err.Error(), "HALFWAY") ||
				errors.Is(err, driver.ErrRefused) || errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Release = %v; want an error that leaves it open", err)
			}
			if err := b.Evict(t.Context(), "k", ""); err != nil { // nobody waits any more: no SET
				t.Errorf("Evict = %v", err)
			}
			admin.do([]string{"ACL SETUSER default +set"})
			if err := b.Renew(t.Context(), []driver.Grant{held})[0].Err; !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Renew = %v, want ErrNotHeld", err)
			}
			if l := locktest.ExpectLock(t, next, 25*time.Second); l.Token() <= held.Token {
				t.Errorf("token %v after %v", l.Token(), held.Token)
			}
		})
	}
}
