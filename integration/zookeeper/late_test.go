package zookeeper_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLateCreate: a create that arrives when its session has gone on with another
// connection, and its attempt has been granted the lock by a second create, makes no
// second node.
func TestLateCreate(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	b := persistent.New(dial(t, p.Addr(), ns))
	server := raw(t, s.Addr())
	warm(t, b)

	late := p.HoldRequest(creates, 1)
	req := driver.Request{Key: "k", AttemptID: "late", TTL: 3 * time.Second, Wait: true}
	g, err := b.Acquire(t.Context(), req)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	locktest.Await(t, soon, "the first create is held back", late.Fired())
	late.Release()
	// The server closed the old connection before it served the new one.
	locktest.Eventually(t, soon, "the connection with the late create has ended", func() bool { return p.Counts().Open == 1 })
	// Whatever it did with what came by it, it has done when it answers the next.
	if out := b.Renew(t.Context(), []driver.Grant{g}); out[0].Err != nil {
		t.Errorf("Renew: %v", out[0].Err)
	}
	if all := claims(t, server, parentOf(ns, "k")); len(all) != 1 {
		t.Errorf("the nodes of the lock are %q, want one", all)
	}
	if err := b.Release(t.Context(), g); err != nil {
		t.Errorf("Release: %v", err)
	}
	if all := claims(t, server, parentOf(ns, "k")); len(all) != 0 {
		t.Errorf("left behind: %q", all)
	}
}

// TestCancelledCreate: an attempt that was cancelled while its create was under way
// leaves nothing, whether the create is carried out or not.
func TestCancelledCreate(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*proxy.Proxy) *proxy.Fault{
		"carried out": func(p *proxy.Proxy) *proxy.Fault { return p.LoseReplyTo(creates, 1) },
		"lost":        func(p *proxy.Proxy) *proxy.Fault { return p.LoseRequest(creates, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
			p := through(t, s.Addr())
			b := dial(t, p.Addr(), ns)
			server := raw(t, s.Addr())
			warm(t, b)
			lost := lose(p)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-lost.Fired()
				cancel()
			}()
			req := driver.Request{Key: "k", AttemptID: "cancelled", TTL: 3 * time.Second, Wait: true}
			if g, err := b.Acquire(ctx, req); err == nil {
				t.Fatalf("Acquire was granted %v without an answer to its create", g.Token)
			}
			locktest.Eventually(t, soon, "Release finds nothing to end", func() bool {
				return errors.Is(b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "cancelled"}), driver.ErrNotHeld)
			})
			if all := claims(t, server, parentOf(ns, "k")); len(all) != 0 {
				t.Errorf("left behind: %q", all)
			}
		})
	}
}

// warm opens the session that TTLs of 3 s have, so that what follows is what is tested.
func warm(t *testing.T, b driver.Backend) {
	t.Helper()
	g, err := b.Acquire(t.Context(), driver.Request{Key: "warm", AttemptID: "warm", TTL: 3 * time.Second})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	if err := b.Release(t.Context(), g); err != nil {
		t.Fatalf("Release: %v", err)
	}
}
