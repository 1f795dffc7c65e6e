package zookeeper_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

const hidden = "hunter2-s3cret"

func openAs(t *testing.T, user, raw string) (driver.Backend, error) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		u.User = url.UserPassword(user, hidden)
	}
	b, err := zookeeper.Open(t.Context(), u, driver.OpenOptions{})
	if err == nil {
		t.Cleanup(func() { _ = b.Close() })
	}
	return b, err
}

// TestAccess: what a user makes is the user's own; others are told so at once, and
// that asking again does not help.
func TestAccess(t *testing.T) {
	t.Parallel()
	s := servers.Shared(t, servers.ZooKeeper)
	raw0 := "zookeeper://" + s.Addr() + "/" + locktest.Namespace() + "/deep?namespace=locks"
	ann, err := openAs(t, "ann", raw0)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	req := driver.Request{Key: "k", AttemptID: "ann", TTL: 3 * time.Second, Wait: true}
	g, err := ann.Acquire(t.Context(), req)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	if out := ann.Renew(t.Context(), []driver.Grant{g}); out[0].Err != nil {
		t.Errorf("Renew: %v", out[0].Err)
	}
	for _, user := range []string{"", "bob"} {
		b, err := openAs(t, user, raw0)
		if err == nil { // the node is there; but it is not for everybody
			_, err = b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "bob", TTL: 3 * time.Second, Wait: true})
		}
		if !errors.Is(err, zk.ErrNoAuth) || errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "look at user and password") ||
			strings.Contains(err.Error(), hidden) {
			t.Errorf("user %q: %v, want ErrNoAuth that says where user and password go", user, err)
		}
	}
	release(t, ann, g)
	// A namespace that must be made where only ann may.
	if _, err := openAs(t, "bob", raw0+"2"); !errors.Is(err, zk.ErrNoAuth) || !strings.Contains(err.Error(), "/deep/locks2") ||
		strings.Contains(err.Error(), hidden) {
		t.Errorf("Open = %v, want ErrNoAuth that names the node", err)
	}
}

// TestWithoutWrite: who may not write the lock's node hands off all the same.
func TestWithoutWrite(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	raw0 := "zookeeper://" + s.Addr() + "?namespace=" + ns + "&acl=world:anyone:crd"
	var clients [3]driver.Backend
	for i := range clients {
		var err error
		if clients[i], err = openAs(t, "", raw0); err != nil {
			t.Fatalf("Open: %v", err)
		}
	}
	grants := make(chan driver.Grant, len(clients))
	for i, b := range clients {
		go func() {
			g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "abc"[i : i+1], TTL: 5 * time.Second, Wait: true})
			if err != nil {
				t.Errorf("Acquire: %v", err)
			}
			grants <- g
		}()
		locktest.Eventually(t, soon, "it has the lock or waits", func() bool {
			st, err := b.Inspect(t.Context(), "k")
			return err == nil && st.Held() && st.Waiters == i
		})
	}
	for i, b := range clients {
		g := <-grants
		if g.AttemptID != "abc"[i:i+1] {
			t.Errorf("%s has the lock, want %s", g.AttemptID, "abc"[i:i+1])
		}
		release(t, b, g)
	}
}

// TestACL: every node that we make has the one that is documented.
func TestACL(t *testing.T) {
	t.Parallel()
	s := servers.Shared(t, servers.ZooKeeper)
	for name, test := range map[string]struct {
		user, query string
		want        []zk.ACL
	}{
		"nobody": {"", "", zk.WorldACL(zk.PermAll)},
		"user":   {"ann", "", zk.DigestACL(zk.PermAll, "ann", hidden)},
		"as told": {
			"ann", "&acl=" + url.QueryEscape("auth::cdrwa,world:anyone:r"),
			append(zk.DigestACL(zk.PermAll, "ann", hidden), zk.WorldACL(zk.PermRead)...),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := locktest.Namespace()
			b, err := openAs(t, test.user, "zookeeper://"+s.Addr()+"/"+top+"?namespace=locks"+test.query)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "o", TTL: 20 * time.Second})
			if err != nil {
				t.Fatalf("Acquire: %v", err)
			}
			defer release(t, b, g)
			server := raw(t, s.Addr())
			if err := server.AddAuth("digest", []byte("ann:"+hidden)); err != nil {
				t.Fatal(err)
			}
			parent := "/" + top + "/locks/k"
			for _, path := range append(claims(t, server, parent), parent, "/"+top+"/locks", "/"+top) {
				acl, _, err := server.GetACL(path)
				if err != nil {
					t.Fatalf("GetACL: %v", err)
				}
				if !slices.Equal(acl, test.want) {
					t.Errorf("the ACL of %s is %v, want %v", path, acl, test.want)
				}
			}
		})
	}
}
