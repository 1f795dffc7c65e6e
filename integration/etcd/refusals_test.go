package etcd_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// expectFault wants an error that says whether asking again may help, and whether nothing was done;
// in words that say neither twice.
func expectFault(t *testing.T, what string, err error, again, nothing bool) {
	t.Helper()
	if err == nil || errors.Is(err, driver.ErrUnavailable) != again || errors.Is(err, driver.ErrRefused) != nothing || errors.Is(err, driver.ErrHeld) || errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("%s = %v, want again %v, nothing done %v", what, err, again, nothing)
	}
	if err != nil && (strings.Count(err.Error(), "unavailable") > 1 || strings.Count(err.Error(), "refused") > 1) {
		t.Errorf("%s says it twice: %v", what, err)
	}
}

// TestNoSpace: a server whose quota is used up takes no new claim, and refuses an eviction, which
// writes to tell the holder; both may help later. What is held is renewed, and released. With room
// again, all is as before.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const ttl = time.Minute
			s, ns := servers.Start(t, kind, servers.Args("--quota-backend-bytes", "1000000")), locktest.Namespace()
			b, admin := dial(t, s.Addr(), ns), raw(t, s.Addr())
			take := func(key string) (driver.Grant, error) {
				return b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: key, TTL: ttl, Wait: true})
			}
			evicted, err := take("evicted")
			if err != nil {
				t.Fatal(err)
			}
			kept, err := take("kept")
			if err != nil {
				t.Fatal(err)
			}
			ballast := strings.Repeat("x", 100_000)
			locktest.Eventually(t, locktest.Electing, "the quota is used up", func() bool {
				_, err := admin.Put(t.Context(), "ballast", ballast)
				return errors.Is(err, rpctypes.ErrNoSpace)
			})
			_, err = take("new")
			expectFault(t, "Acquire", err, true, false) // see the package's table: it may have been the one that is carried out
			_, err = b.Acquire(t.Context(), driver.Request{Key: "of another TTL", AttemptID: "new", TTL: 2 * ttl})
			expectFault(t, "Acquire with a new session", err, true, false)
			expectFault(t, "Evict", b.Evict(t.Context(), evicted.Key, ""), true, true)
			if r := b.Renew(t.Context(), []driver.Grant{evicted, kept}); r[0].Err != nil || r[1].Err != nil {
				t.Errorf("Renew = %v, %v", r[0].Err, r[1].Err)
			}
			if err := b.Release(t.Context(), kept); err != nil {
				t.Errorf("Release = %v", err)
			}
			makeRoom(t, admin, s.Addr())
			if err := b.Evict(t.Context(), evicted.Key, ""); err != nil {
				t.Errorf("Evict with room = %v", err)
			}
			if g, err := take("kept again"); err != nil {
				t.Errorf("Acquire with room = %v", err)
			} else if err := b.Release(t.Context(), g); err != nil {
				t.Errorf("Release with room = %v", err)
			}
			if err := b.Release(t.Context(), driver.Grant{Key: "new", AttemptID: "new"}); !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Release of what was refused = %v", err)
			}
		})
	}
}

// makeRoom does what etcd's documentation says.
func makeRoom(t *testing.T, admin *clientv3.Client, addr string) {
	t.Helper()
	at, err := admin.Delete(t.Context(), "ballast")
	if err == nil {
		_, err = admin.Compact(t.Context(), at.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err == nil {
		_, err = admin.Defragment(t.Context(), addr)
	}
	if err == nil {
		_, err = admin.AlarmDisarm(t.Context(), &clientv3.AlarmMember{})
	}
	if err != nil {
		t.Fatalf("making room: %v", err)
	}
}

// TestPermissionIsTakenAway: a release, and all else, that the server refuses for good is told so.
func TestPermissionIsTakenAway(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := guard(t, kind, lasting, cheap), locktest.Namespace()
			s.allow(t, "locks", ns+"/", readWrite)
			b := locktest.Dial(t, etcd.Open, &url.URL{Scheme: "etcd", User: url.UserPassword("locks", secret), Host: s.Addr(), Path: "/" + ns})
			req := driver.Request{Key: "k", AttemptID: "o", TTL: time.Minute}
			g, err := b.Acquire(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.admin.RoleRevokePermission(t.Context(), "locks", ns+"/", clientv3.GetPrefixRangeEnd(ns+"/")); err != nil {
				t.Fatal(err)
			}
			expectFault(t, "Evict", b.Evict(t.Context(), g.Key, ""), false, true)
			expectFault(t, "Renew", b.Renew(t.Context(), []driver.Grant{g})[0].Err, false, true)
			expectFault(t, "Release", b.Release(t.Context(), g), false, true)
			_, err = b.Inspect(t.Context(), g.Key)
			expectFault(t, "Inspect", err, false, true)
			req.Key, req.AttemptID, req.Wait = "another", "another", true
			_, err = b.Acquire(t.Context(), req)
			expectFault(t, "Acquire", err, false, true)
		})
	}
}
