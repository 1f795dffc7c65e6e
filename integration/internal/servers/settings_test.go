package servers

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestTLSOfServersWithData(t *testing.T) {
	everyData(t, func(t *testing.T, k Kind) {
		if k.product == Raft.product {
			fails(t, func(t T) { Start(t, k, TLS()) }, "has one port")
			return
		}
		s := Start(t, k, TLS())
		if err := helloTLS(t.Context(), s, s.TLSConfig()); err != nil {
			t.Errorf("with TLS: %v", err)
		}
		without := s.TLSConfig()
		without.Certificates = nil
		if err := helloTLS(t.Context(), s, without); err == nil {
			t.Error("a client without a certificate was let in")
		}
		if !answers(s) {
			t.Error("the plain port does not answer")
		}
	})
}

// helloTLS returns nil if the server answers a request by TLS.
func helloTLS(ctx context.Context, s *Server, config *tls.Config) error {
	c, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: config}).DialContext(ctx, "tcp", s.TLSAddr())
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if s.kind.product == "etcd" {
		if _, err = io.WriteString(c, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"); err == nil {
			_, err = io.ReadFull(c, make([]byte, 12))
		}
		return err
	}
	// A ConnectRequest of the least length: version, zxid, timeout, session, password.
	// The answer begins with its own length.
	request := binary.BigEndian.AppendUint32(nil, 28)
	request = append(request, make([]byte, 12)...)
	request = binary.BigEndian.AppendUint32(request, 1000)
	request = append(request, make([]byte, 12)...)
	if _, err = c.Write(request); err == nil {
		_, err = io.ReadFull(c, make([]byte, 4))
	}
	return err
}

// The first is an argument that a file of ours serves, the second overrides what is
// set for all.
func TestArgsAndFileOfServersWithData(t *testing.T) {
	t.Run("etcd", func(t *testing.T) {
		s := Start(t, Etcd, File("etcd.log", nil), Args("--log-outputs", "stderr,"+Dir+"/etcd.log", "--quota-backend-bytes", "123456789"))
		if got := Metrics(t, s)["etcd_server_quota_backend_bytes"]; got != 123456789 {
			t.Errorf("the quota is %v", got)
		}
	})
	t.Run("ZooKeeper", func(t *testing.T) {
		s := Start(t, ZooKeeper, File("initial.txt", nil), Args("maxSessionTimeout=7777", "tickTime=150", "dataLogDir="+Dir+"/log"))
		conf, err := zooKeeperAsk(t.Context(), s.addr, "conf")
		if err != nil || !strings.Contains(conf, "maxSessionTimeout=7777\n") || !strings.Contains(conf, "tickTime=150\n") {
			t.Errorf("%v in\n%s", err, conf)
		}
	})
}

func TestBadArgumentsOfServersWithData(t *testing.T) {
	for _, k := range []Kind{Etcd, ZooKeeper} {
		t.Run(k.String(), func(t *testing.T) {
			arg := map[string]string{"etcd": "--nonsense=1", "ZooKeeper": "tickTime=nonsense"}[k.product]
			began := time.Now()
			fails(t, func(t T) { Start(t, k, Args(arg)) }, "does not answer", "it has ended", "nonsense")
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			fails(t, func(t T) { Start(t, k, UnixSocket()) }, "does not listen on a socket")
		})
	}
}

func TestGivenOfServersWithData(t *testing.T) {
	everyCluster(t, func(t *testing.T, k Kind) {
		s := Start(t, k)
		t.Setenv(k.env("ADDR"), s.Addr())
		g := Start(t, k)
		if g.Addr() != s.Addr() || g.Version() != s.Version() {
			t.Errorf("%v at %s, want that of %v at %s", g, g.Addr(), s, s.Addr())
		}
		fails(t, g.Kill, "not ours", k.env("ADDR"))
		fails(t, func(t T) { StartCluster(t, k, 3) }, "a cluster of its own", k.env("ADDR"))
	})
}

func TestVersions(t *testing.T) {
	for out, want := range map[string]string{
		"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc":                             "7.0.15",
		"etcd Version: 3.7.3\nGit SHA: Not provided\nGo Version: go1.26.8\n":               "3.7.3",
		"Apache ZooKeeper, version 3.8.0 2024-12-29 17:54 UTC":                             "3.8.0",
		"Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC\nLat": "3.8.0",
		"Zookeeper version: 3.9.4-1234abc, built on 2025-08-19 19:53 UTC":                  "3.9.4",
	} {
		if got, err := parseVersion(out); got != want || err != nil {
			t.Errorf("%q: %q, %v", out, got, err)
		}
	}
	for version, want := range map[string]bool{"3.8.0": true, "3.9.4": true, "4.0": true, "3.7.2": false, "3": false} {
		if got := ZooKeeper.fits(version); got != want {
			t.Errorf("3.8+ fits %s: %v", version, got)
		}
	}
}
