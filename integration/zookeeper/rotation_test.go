package zookeeper_test

import (
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// forwarder passes connections on to a target that can be changed; what is connected stays.
type forwarder struct {
	net.Listener
	target atomic.Pointer[string]
}

func forward(t *testing.T, target string) *forwarder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f := &forwarder{Listener: l}
	f.target.Store(&target)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go pass(c, *f.target.Load())
		}
	}()
	return f
}

func pass(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, client)
	}()
	_, _ = io.Copy(client, server)
}

// TestCertificatesRotate: a client's certificate, its key and the authority are read for each
// connection. Here all servers are replaced by one that trusts, and has, only what comes from
// another authority; the client goes on when its files have been replaced.
func TestCertificatesRotate(t *testing.T) {
	t.Parallel()
	before, after := servers.Start(t, servers.ZooKeeper, servers.TLS()), servers.Start(t, servers.ZooKeeper, servers.TLS())
	f := locktest.CertificateFiles(t, before.TLSAddr(), before.TLSConfig())
	next := locktest.CertificateFiles(t, after.TLSAddr(), after.TLSConfig())
	way := forward(t, before.TLSAddr())
	b, err := openAs(t, "", "zookeepers://"+way.Addr().String()+"?namespace="+locktest.Namespace()+"&ca="+f.CA+"&cert="+f.Cert+"&key="+f.Key)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	take := func(id string, ttl time.Duration) error { // each TTL has a session, and a connection, of its own
		g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: id, TTL: ttl, Wait: true})
		if err == nil {
			release(t, b, g)
		}
		return err
	}
	if err := take("first", 5*time.Second); err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	target := after.TLSAddr()
	way.target.Store(&target)
	err = take("between", 6*time.Second)
	if err == nil {
		t.Fatal("a server of another authority is spoken to: nothing is tested")
	}
	if !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Acquire = %v, want it to say what is wrong", err)
	}
	for from, to := range map[string]string{next.CA: f.CA, next.Cert: f.Cert, next.Key: f.Key} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var last error
	locktest.Eventually(t, 2*soon, "it locks with the new certificate", func() bool {
		last = take("after", 7*time.Second)
		return last == nil
	})
	t.Logf("the last error: %v", last)
}
