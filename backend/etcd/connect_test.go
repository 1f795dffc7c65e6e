package etcd

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// TestConnectsAgainSoon: however long servers have been away, the next attempt to connect is not
// far. gRPC's own pauses grow to two minutes: nine attempts would take a minute.
func TestConnectsAgainSoon(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to, err := parseURL(&url.URL{Scheme: "etcd", Host: l.Addr().String()}, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(to.conf)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.ActiveConnection().Connect()
	began, last := time.Now(), time.Duration(0)
	const attempts = 9
	for range attempts {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close() // an attempt that fails
		last = time.Since(began)
	}
	if last > 30*time.Second {
		t.Errorf("%d attempts to connect took %v", attempts, last)
	}
}

// TestProxyOfTheEnvironment: it is not used unless the URL says so. The environment counts when a
// process begins: so it is another.
func TestProxyOfTheEnvironment(t *testing.T) {
	if to := os.Getenv("FENCELOCK_TEST_OPEN"); to != "" {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Open(ctx, u, driver.OpenOptions{}); err == nil {
			t.Error("Open succeeded without a server")
		}
		return
	}
	for query, want := range map[string]bool{"": false, "?proxy=env": true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan string, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				close(asked)
				return
			}
			first := make([]byte, 64)
			n, _ := c.Read(first)
			_ = c.Close()
			asked <- string(first[:n])
		}()
		other := exec.Command(os.Args[0], "-test.run=^TestProxyOfTheEnvironment$")
		other.Env = append(os.Environ(), "FENCELOCK_TEST_OPEN=etcd://etcd.invalid"+query,
			"HTTPS_PROXY=http://"+l.Addr().String(), "HTTP_PROXY=http://"+l.Addr().String(), "NO_PROXY=")
		if out, err := other.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		_ = l.Close()
		if got := <-asked; strings.HasPrefix(got, "CONNECT etcd.invalid:2379") != want {
			t.Errorf("%q: the proxy was asked %q", query, got)
		}
	}
}
