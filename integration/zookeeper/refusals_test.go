package zookeeper_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// expectRefused checks what an error says: that nothing was done, and whether asking again may
// help.
func expectRefused(t *testing.T, what string, err error, passing bool, word string) {
	t.Helper()
	if !errors.Is(err, driver.ErrRefused) || errors.Is(err, driver.ErrUnavailable) != passing || !strings.Contains(err.Error(), word) {
		t.Errorf("%s = %v; want ErrRefused, passing: %v, and the word %q", what, err, passing, word)
	}
}

// TestRefusedForGood: what an ACL forbids is refused at once, and known not to have been done.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	s := servers.Shared(t, servers.ZooKeeper)
	ns := locktest.Namespace()
	req := driver.Request{Key: "k", AttemptID: "o", TTL: 5 * time.Second, Wait: true}

	bad, err := openAs(t, "", "zookeeper://"+s.Addr()+"?namespace="+ns+"&acl=nosuch:scheme:r")
	if err == nil {
		_, err = bad.Acquire(t.Context(), req)
	}
	expectRefused(t, "with an ACL that the server does not know, it", err, false, "ACL")

	server := raw(t, s.Addr())
	if _, err := server.Create("/"+ns, nil, zk.FlagPersistent, zk.WorldACL(zk.PermRead)); err != nil {
		t.Fatal(err)
	}
	b := dial(t, s.Addr(), ns)
	_, err = b.Acquire(t.Context(), req)
	expectRefused(t, "Acquire where no node may be made", err, false, "not authenticated")
	if err := b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "o"}); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Release of it = %v, want ErrNotHeld", err)
	}

	ns = locktest.Namespace()
	b, err = openAs(t, "", "zookeeper://"+s.Addr()+"?namespace="+ns+"&acl="+url.QueryEscape("world:anyone:crw"))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	g, err := b.Acquire(t.Context(), req)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	for range 2 {
		expectRefused(t, "Release of what may not be deleted", b.Release(t.Context(), g), false, "not authenticated")
	}
	expectRefused(t, "Evict of it", b.Evict(t.Context(), "k", ""), false, "not authenticated")
	if st, err := b.Inspect(t.Context(), "k"); err != nil || !st.Held() || st.Holders[0].AttemptID != "o" {
		t.Errorf("Inspect = %+v, %v: it was said that nothing was done", st, err)
	}
}

// TestQuota: a server whose quota is used up refuses, and says which; what is held can be
// freed, and then there is room again.
func TestQuota(t *testing.T) {
	t.Parallel()
	s, ns := servers.Start(t, servers.ZooKeeper, servers.Args("enforceQuota=true")), locktest.Namespace()
	server, b := raw(t, s.Addr()), dial(t, s.Addr(), ns)
	for path, data := range map[string]string{
		"/zookeeper/quota/" + ns:                       "",
		"/zookeeper/quota/" + ns + "/zookeeper_limits": "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3",
		"/zookeeper/quota/" + ns + "/zookeeper_stats":  "count=1,bytes=0",
	} {
		for range 2 { // a map has no order: the first may come too early
			if _, err := server.Create(path, []byte(data), zk.FlagPersistent, zk.WorldACL(zk.PermAll)); err != nil &&
				!errors.Is(err, zk.ErrNodeExists) && !errors.Is(err, zk.ErrNoNode) {
				t.Fatal(err)
			}
			if _, err := server.Create("/zookeeper/quota/"+ns, nil, zk.FlagPersistent, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
				t.Fatal(err)
			}
		}
	}
	try := func(key string) (driver.Grant, error) {
		return b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "o-" + key, TTL: 20 * time.Second, Wait: true})
	}
	first, err := try("first")
	if err != nil {
		t.Fatalf("Acquire within the quota: %v", err)
	}
	_, err = try("second")
	expectRefused(t, "Acquire beyond the quota", err, true, "quota")
	if err := b.Release(t.Context(), driver.Grant{Key: "second", AttemptID: "o-second"}); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Release of it = %v, want ErrNotHeld", err)
	}
	if out := b.Renew(t.Context(), []driver.Grant{first}); out[0].Err != nil {
		t.Errorf("Renew: %v", out[0].Err)
	}
	release(t, b, first)
	again, err := try("first")
	if err != nil {
		t.Fatalf("Acquire when there is room: %v", err)
	}
	release(t, b, again)
}

// TestLocalSessions: a server that keeps sessions to itself can make no lock, and we say so at
// once. One that makes them known when it must can.
func TestLocalSessions(t *testing.T) {
	t.Parallel()
	for _, upgrading := range []bool{false, true} {
		settings := []string{"localSessionsEnabled=true"}
		if upgrading {
			settings = append(settings, "localSessionsUpgradingEnabled=true")
		}
		c := servers.StartCluster(t, servers.ZooKeeper, 3, servers.Args(settings...))
		awaitWhole(t, c)
		b := dial(t, others(c, c.Leader(t))[0].Addr(), locktest.Namespace())
		req := driver.Request{Key: "k", AttemptID: "o", TTL: 10 * time.Second, Wait: true}
		began := time.Now()
		g, err := b.Acquire(t.Context(), req)
		if upgrading {
			if err != nil {
				t.Fatalf("Acquire: %v", err)
			}
			release(t, b, g)
			continue
		}
		expectRefused(t, "Acquire", err, false, "localSessionsUpgradingEnabled")
		t.Logf("refused after %v", time.Since(began).Round(time.Millisecond))
	}
}
