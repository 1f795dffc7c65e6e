package etcd_test

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// secret has characters that must be percent-encoded in a URL.
const secret = "s3cr:t/@?#% ä"

// guarded is a server that asks who one is, and its administrator.
type guarded struct {
	*servers.Server
	admin *clientv3.Client
}

// guard starts a server with a root user, and switches authentication on. Tokens
// that are not used end after two seconds, unless the options say something else.
func guard(t *testing.T, kind servers.Kind, opts ...servers.Option) guarded {
	t.Helper()
	s := servers.Start(t, kind, append([]servers.Option{servers.Args("--auth-token", "simple", "--auth-token-ttl", "2")}, opts...)...)
	return guarded{s, switchOn(t, s.Addr())}
}

// switchOn makes a root user, switches authentication on, and returns its client.
func switchOn(t *testing.T, addrs ...string) *clientv3.Client {
	t.Helper()
	plain := raw(t, addrs...)
	for _, do := range []func() error{
		func() error { _, err := plain.UserAdd(t.Context(), "root", secret); return err },
		func() error { _, err := plain.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := plain.AuthEnable(t.Context()); return err },
	} {
		if err := do(); err != nil {
			t.Fatalf("switching authentication on: %v", err)
		}
	}
	return known(t, "root", addrs...)
}

// known is a plain client of a user.
func known(t *testing.T, name string, addrs ...string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: addrs, DialTimeout: locktest.Soon, Logger: zap.NewNop(), Username: name, Password: secret,
	})
	if err != nil {
		t.Fatalf("etcd client: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// allow makes a user who may do one thing to what a prefix begins.
func (s guarded) allow(t *testing.T, name, prefix string, may clientv3.PermissionType) {
	t.Helper()
	allow(t, s.admin, name, prefix, may)
}

func allow(t *testing.T, admin *clientv3.Client, name, prefix string, may clientv3.PermissionType) {
	t.Helper()
	for _, do := range []func() error{
		func() error { _, err := admin.UserAdd(t.Context(), name, secret); return err },
		func() error { _, err := admin.RoleAdd(t.Context(), name); return err },
		func() error { _, err := admin.UserGrantRole(t.Context(), name, name); return err },
		func() error {
			_, err := admin.RoleGrantPermission(t.Context(), name, prefix, clientv3.GetPrefixRangeEnd(prefix), may)
			return err
		},
	} {
		if err := do(); err != nil {
			t.Fatalf("making %s: %v", name, err)
		}
	}
}

// url is that of a user.
func (s guarded) url(name string) string { return urlFor(name, s.Addr()) }

func urlFor(name, addr string) string {
	return (&url.URL{Scheme: "etcd", User: url.UserPassword(name, secret), Host: addr}).String()
}

// TestPermissions: what is documented is enough for all that a client does. With
// less, the error says so, and at once.
func TestPermissions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../backend/etcd/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "etcdctl role grant-permission locks --prefix=true readwrite fencelock/\n") {
		t.Fatal("the package comment documents other permissions than are tested here")
	}
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := guard(t, kind), locktest.Namespace()
			s.allow(t, "enough", ns+"/", readWrite)
			s.allow(t, "reader", ns+"/", readOnly)
			s.allow(t, "elsewhere", ns+"2/", readWrite)
			exercise(t, s.url("enough"), ns)
			expectNothingLeft(t, s.admin, ns)
			expectRefusal(t, s.url("elsewhere"), ns, "permission denied", ns)
			expectRefusal(t, s.url("reader"), ns, "permission denied")
			expectRefusal(t, s.url("nobody"), ns, "invalid user ID or password", "etcd://user:password@host", "percent-encoded")
			expectRefusal(t, strings.Replace(s.url("enough"), "s3cr", "S3cr", 1), ns, "invalid user ID or password")
			expectRefusal(t, "etcd://"+s.Addr(), ns, "user name is empty", "etcd://user:password@host", "password_file=")
		})
	}
}

// TestListHeldWithPermissions: what is documented is enough to list, also a part.
func TestListHeldWithPermissions(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := guard(t, kind), locktest.Namespace()
			s.allow(t, "locks", ns+"/", readWrite)
			b := locktest.Dial(t, etcd.Open, &url.URL{Scheme: "etcd", User: url.UserPassword("locks", secret), Host: s.Addr(), Path: "/" + ns})
			take(t, b, "a/1", "attempt-1", time.Minute)
			take(t, b, "b/1", "attempt-2", time.Minute)
			for prefix, n := range map[string]int{"": 2, "a/": 1, "c": 0} {
				if found := locktest.ListHeld(t, b, prefix, 1); len(found) != n {
					t.Errorf("ListHeld(%q) is %+v", prefix, found)
				}
			}
			end := clientv3.GetPrefixRangeEnd(ns + "/")
			if _, err := s.admin.RoleRevokePermission(t.Context(), "locks", ns+"/", end); err != nil {
				t.Fatal(err)
			}
			locktest.Eventually(t, locktest.Soon, "it is refused", func() bool {
				_, err := b.ListHeld(t.Context(), "", "", 10)
				return errors.Is(err, driver.ErrRefused) && !errors.Is(err, driver.ErrUnavailable) && strings.Contains(err.Error(), "permission denied")
			})
		})
	}
}

// exercise does all that a client can do.
func exercise(t *testing.T, u, ns string) {
	t.Helper()
	const ttl = 2 * time.Second
	first, second := locktest.Open(t, u, ns, ttl), locktest.Open(t, u, ns, ttl)
	var book locktest.Ledger
	held := locktest.Lock(t, first, "k")
	book.Record(t, held)
	locktest.ExpectHeldByAnother(t, second, "k")
	next := locktest.StartLock(t.Context(), second, "k")
	awaitWaiters(t, first, "k", 1)
	locktest.AwaitRenewal(t, held, ttl, time.Now())
	locktest.Unlock(t, held)
	held = locktest.ExpectLock(t, next, locktest.Soon)
	book.Record(t, held)
	if _, err := first.Evict(t.Context(), "k", ""); err != nil {
		t.Errorf("Evict: %v", err)
	}
	locktest.ExpectLost(t, held, locktest.Soon)
	held, err := second.TryLock(t.Context(), "k")
	if err != nil {
		t.Fatalf("TryLock: %v", err)
	}
	book.Record(t, held)
	locktest.Unlock(t, held)
}

const (
	readOnly  = clientv3.PermissionType(clientv3.PermRead)
	readWrite = clientv3.PermissionType(clientv3.PermReadWrite)
)
