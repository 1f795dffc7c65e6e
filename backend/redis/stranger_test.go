package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// serve answers connections until the test ends, and returns the address.
func serve(t *testing.T, l net.Listener, answer func(net.Conn)) string {
	t.Helper()
	var running sync.WaitGroup
	over, end := context.WithCancel(context.Background())
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer context.AfterFunc(over, func() { _ = conn.Close() })()
				defer conn.Close()
				answer(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		end()
		running.Wait()
	})
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// likeTwemproxy answers PING, and hangs up at whatever else.
func likeTwemproxy(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return
		case strings.TrimSpace(line) == "PING":
			_, _ = io.WriteString(conn, "+PONG\r\n")
		case !strings.ContainsRune("*$", rune(line[0])):
			return
		}
	}
}

// likeRedis answers each line, those of a TLS handshake not at all: it waits for their end.
func likeRedis(conn net.Conn) {
	r := bufio.NewReader(conn)
	if head, err := r.Peek(1); err != nil || head[0] != '*' {
		_, _ = io.Copy(io.Discard, r)
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if !strings.ContainsRune("*$", rune(line[0])) {
			_, _ = io.WriteString(conn, "-ERR whatever\r\n")
		}
	}
}

// turnAway is what a server does with more clients than it wants.
func turnAway(conn net.Conn) { _, _ = io.WriteString(conn, "-ERR max number of clients reached\r\n") }

func hangUp(net.Conn) {}

// Where the URL leads to something else than a Redis server, Open says what it is and
// does not call it unavailable.
func TestStrangers(t *testing.T) {
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	defer certificates.Close()
	withTLS := tls.NewListener(listen(t), &tls.Config{Certificates: certificates.TLS.Certificates, MinVersion: tls.VersionTLS12})
	speaksTLS := serve(t, withTLS, likeRedis)
	for _, tc := range []struct {
		name, scheme, addr string
		kind               error
		says               string
	}{
		{"a TLS port", "redis", speaksTLS, fencelock.ErrInvalid, "write rediss://" + speaksTLS},
		{"a server without TLS", "rediss", serve(t, listen(t), likeRedis), fencelock.ErrInvalid, "write redis://"},
		{"a proxy", "redis", serve(t, listen(t), likeTwemproxy), fencelock.ErrUnsupported, "twemproxy"},
		{"a proxy without TLS", "rediss", serve(t, listen(t), likeTwemproxy), fencelock.ErrInvalid, "write redis://"},
		{"a certificate that is not trusted", "rediss", speaksTLS, driver.ErrUnavailable, "is not accepted"},
		{"a server with enough clients", "redis", serve(t, listen(t), turnAway), driver.ErrUnavailable, "max number of clients"},
		{"what hangs up", "redis", serve(t, listen(t), hangUp), driver.ErrUnavailable, "unavailable"},
		{"nobody", "redis", "127.0.0.1:1", driver.ErrUnavailable, "refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			began := time.Now()
			b, err := Open(t.Context(), &url.URL{Scheme: tc.scheme, Host: tc.addr, User: url.UserPassword("user", "s3cret")}, driver.OpenOptions{})
			if err == nil {
				_ = b.Close()
				t.Fatal("Open succeeds")
			}
			for _, kind := range []error{fencelock.ErrInvalid, fencelock.ErrUnsupported, driver.ErrUnavailable} {
				if errors.Is(err, kind) != errors.Is(tc.kind, kind) {
					t.Errorf("%v: %v: %v", err, kind, errors.Is(err, kind))
				}
			}
			if text := err.Error(); !strings.Contains(text, tc.says) || strings.Contains(text, "s3cret") {
				t.Errorf("%v; want it to say %q", err, tc.says)
			}
			if took := time.Since(began); took > 4*time.Second { // go-redis waits 5 s for a handshake
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What stays silent is not asked more once the caller's time is over, or Open's.
func TestStrangerThatIsSilent(t *testing.T) {
	silent := serve(t, listen(t), func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for _, scheme := range []string{"redis", "rediss"} {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		_, err := Open(ctx, &url.URL{Scheme: scheme, Host: silent}, driver.OpenOptions{})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fencelock.ErrInvalid) {
			t.Errorf("%s: Open = %v, want the context's error", scheme, err)
		}
	}
}
