package raftlocal

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// newClient makes a client of a socket.
func newClient(t *testing.T, c Options) *backend {
	t.Helper()
	b, err := New(within(t, 10*time.Second), &c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b.(*backend)
}

// A client of the socket shares locks with those who have the directory, within one namespace. It makes
// nothing and never serves; without a server it says which socket has nobody, and it goes on when there is
// one again, at another socket of that name.
func TestSocketClient(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "locks")
	socket := Options{Socket: filepath.Join(dir, "socket")}
	_, err := New(within(t, 300*time.Millisecond), &socket)
	if !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "there is no socket "+socket.Socket) {
		t.Errorf("nobody has begun: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a client has made the directory")
	}
	serves := use(t, Options{Dir: dir})
	client := newClient(t, socket)
	g := take(t, serves, request("k", "first", false))
	if _, err := client.Acquire(t.Context(), request("k", "second", false)); !errors.Is(err, driver.ErrHeld) {
		t.Errorf("got %v, want ErrHeld", err)
	}
	other := socket
	other.Namespace = "other"
	take(t, newClient(t, other), request("k", "third", false))

	if err := errors.Join(serves.Release(t.Context(), g), serves.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket.Socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err) // so it is another one afterwards
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := client.Acquire(ctx, request("l", "o", false)); err == nil || !strings.Contains(err.Error(), "there is no socket "+socket.Socket) {
		t.Errorf("the server is gone: %v", err)
	}
	use(t, Options{Dir: dir})
	if again := take(t, client, request("k", "second", false)); again.Token <= g.Token {
		t.Errorf("token %d after %d", again.Token, g.Token)
	}
}

// A socket is none of a cluster's members, and says so.
func TestSocketOfAMember(t *testing.T) {
	path := filepath.Join(t.TempDir(), "member")
	c := Options{Dir: t.TempDir(), ID: "a", Cluster: "test", Peers: []Peer{{"a", "unix:" + path}}, Insecure: true}
	b, err := New(within(t, 10*time.Second), &c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	wantWords(t, "a member's socket", refusal(t, Options{Socket: path}, 10*time.Second), `of the cluster "test"`, "shared")
}

// Operators reach who serves by the directory, by its socket, and by HTTP on that.
func TestSocketOperators(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "locks")
	socket := filepath.Join(dir, "socket")
	for _, c := range []Options{{Dir: dir}, {Socket: socket}} {
		a, err := NewAdmin(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Status(within(t, 10*time.Second)); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("nobody serves: %v", err)
		}
	}
	use(t, Options{Dir: dir})
	for _, c := range []Options{{Dir: dir}, {Socket: socket}} {
		a, err := NewAdmin(&c)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := a.Status(within(t, 10*time.Second)); err != nil || !s.Serving {
			t.Errorf("%+v, %v", s, err)
		}
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	answer, err := (&http.Client{Transport: transport}).Get("http://x/status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(body), `"serving": true`) {
		t.Errorf("GET /status: %s, %v", body, err)
	}
}

// Without TLS, members and clients say what that means.
func TestInsecureIsAWarning(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	for what, conf := range map[string]Options{
		"a client": *c.clientOf(),
		"a member": {Dir: t.TempDir(), ID: "x", Cluster: "x", Peers: peersNamed(t, "x"), Insecure: true},
	} {
		b, err := New(within(t, 10*time.Second), &conf)
		if err != nil {
			t.Fatal(err)
		}
		if w := b.Info().Warnings; len(w) != 1 || !strings.Contains(w[0], "insecure=true") || !strings.Contains(w[0], "anybody who can reach the port") {
			t.Errorf("%s: warnings %q", what, w)
		}
		_ = b.Close()
	}
	if w := use(t, Options{Dir: t.TempDir()}).Info().Warnings; len(w) > 0 {
		t.Errorf("a directory: warnings %q", w)
	}
}

func TestNoSuchGroup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "locks")
	_, err := New(within(t, time.Second), &Options{Dir: dir, Group: "no such group"})
	if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "group=no such group") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory is made")
	}
	if _, err := New(within(t, time.Second), &Options{Socket: "socket"}); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "all of its path") {
		t.Errorf("a relative path: %v", err)
	}
	if _, err := New(within(t, time.Second), &Options{Socket: "/s", Dir: "/d"}); !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("two ways: %v", err)
	}
}
