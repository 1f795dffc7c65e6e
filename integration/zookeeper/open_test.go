package zookeeper_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// lockOnce takes a lock and frees it.
func lockOnce(t *testing.T, b driver.Backend, key string) {
	t.Helper()
	g, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "once", TTL: 5 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	release(t, b, g)
}

// TestOneHostDead: the others do, also for a client that tries the dead one first,
// which is by chance: it is among the first of five clients but once in 32 runs, and
// that must not matter.
func TestOneHostDead(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	refusing, silent := through(t, s.Addr()), through(t, s.Addr())
	refusing.Refuse()
	silent.Blackhole()
	for range 5 {
		lockOnce(t, dial(t, refusing.Addr()+","+s.Addr(), ns), "k")
	}
	for range 3 {
		lockOnce(t, dial(t, silent.Addr()+","+s.Addr(), ns), "k")
	}
	if silent.Counts().Accepted == 0 {
		t.Log("the silent server was never tried first")
	}
}

// TestAllHostsDead: Open says so, when its context ends at the latest.
func TestAllHostsDead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"refuse", "silent"} {
		s := servers.Shared(t, servers.ZooKeeper)
		a, b := through(t, s.Addr()), through(t, s.Addr())
		if name == "refuse" {
			a.Refuse()
			b.Refuse()
		} else {
			a.Blackhole()
			b.Blackhole()
		}
		const patience = 2 * time.Second
		ctx, cancel := contextFor(t, patience)
		began := time.Now()
		c, err := fencelock.Open(ctx, "zookeeper://"+a.Addr()+","+b.Addr(), nil)
		took := time.Since(began)
		cancel()
		if err == nil {
			_ = c.Close()
			t.Fatalf("%s: Open works", name)
		}
		if !errors.Is(err, fencelock.ErrUnavailable) && (name == "refuse" || !errors.Is(err, context.DeadlineExceeded)) {
			t.Errorf("%s: Open = %v, want ErrUnavailable", name, err)
		}
		if took > patience+locktest.Slack {
			t.Errorf("%s: Open took %v, and its context lasted %v", name, took, patience)
		}
	}
}

// TestChroot: it is made where it is missing, and locks are below it, apart from those
// of another.
func TestChroot(t *testing.T) {
	t.Parallel()
	s, top := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	var backends []driver.Backend
	var parents []string
	for _, chroot := range []string{"", "/a", "/a/b"} {
		b, err := openAs(t, "", "zookeeper://"+s.Addr()+"/"+top+chroot+"?namespace=locks")
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		backends, parents = append(backends, b), append(parents, "/"+top+chroot+"/locks/k")
	}
	expectApart(t, s, backends, parents)
}

// TestNamespaces: those of different names do not meet.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	s := servers.Shared(t, servers.ZooKeeper)
	var backends []driver.Backend
	var parents []string
	for range 3 {
		ns := locktest.Namespace()
		backends, parents = append(backends, dial(t, s.Addr(), ns)), append(parents, parentOf(ns, "k"))
	}
	expectApart(t, s, backends, parents)
}

// expectApart has each backend hold the same key at the same time, below its own node.
func expectApart(t *testing.T, s *servers.Server, backends []driver.Backend, parents []string) {
	t.Helper()
	server := raw(t, s.Addr())
	for i, b := range backends {
		g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "o", TTL: 20 * time.Second})
		if err != nil {
			t.Fatalf("Acquire below %s: %v", parents[i], err)
		}
		defer release(t, b, g)
		if n := len(claims(t, server, parents[i])); n != 1 {
			t.Errorf("%d claims below %s, want that of the holder", n, parents[i])
		}
	}
}

// TestNew: what the application has in its code reaches the server: TLS, user, ACL, chroot. Its locks
// and those of a URL that says the same are one.
func TestNew(t *testing.T) {
	t.Parallel()
	s, ns := servers.Start(t, servers.ZooKeeper, servers.TLS()), locktest.Namespace()
	b, err := zookeeper.New(t.Context(), []string{s.TLSAddr()}, &zookeeper.Options{
		Namespace: ns, Chroot: "/apps", User: "ann", Password: hidden, TLS: s.TLSConfig(),
	})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	f := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
	other, err := openAs(t, "ann", "zookeepers://"+s.TLSAddr()+"/apps?namespace="+ns+"&cert="+f.Cert+"&key="+f.Key+"&ca="+f.CA)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "o", TTL: 5 * time.Second})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	if _, err := other.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "p", TTL: 5 * time.Second}); !errors.Is(err, driver.ErrHeld) {
		t.Errorf("Acquire of what is held = %v, want ErrHeld", err)
	}
	if _, err := raw(t, s.Addr()).Create("/apps/"+ns+"/k/stranger", nil, 0, zk.WorldACL(zk.PermAll)); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("a create by somebody else = %v, want that only ann may", err)
	}
	release(t, b, g)
	lockOnce(t, other, "k")
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if b, err := zookeeper.New(t.Context(), []string{s.TLSAddr()}, &zookeeper.Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}}); err == nil {
		_ = b.Close()
		t.Error("New with the system's authorities works")
	}
}

// TestUnreachable: Open says so, in time, and does not show the password.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	_, err := openAs(t, "ann", "zookeeper://127.0.0.1:1")
	if !errors.Is(err, driver.ErrUnavailable) || strings.Contains(err.Error(), hidden) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Open = %v, want ErrUnavailable and why", err)
	}
}

// TestShortSessions: a server whose sessions are shorter than any TTL is refused.
func TestShortSessions(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.ZooKeeper, servers.Args("maxSessionTimeout=1500"))
	if _, err := openAs(t, "", "zookeeper://"+s.Addr()); err == nil || !strings.Contains(err.Error(), "maxSessionTimeout") {
		t.Errorf("Open = %v, want an error that names maxSessionTimeout", err)
	}
}
