package raftlocal

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/shared"
	"github.com/fencelock/fencelock/driver"
)

// orders are what somebody may ask of an operator's port: all paths, methods and parameters, right ones
// and wrong ones. Those that change something must be refused by whoever is asked.
func orders() (all []*http.Request) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		for _, path := range []string{"/", "/status", "/healthz", "/metrics", "/backup", "/members", "/leader", "/none", "//", "/../status"} {
			queries := []string{""}
			if path == "/members" || path == "/leader" {
				queries = append(queries, "add=", "add=zz", "add=zz=", "add==h:1", "add=zz=127.0.0.1:1", "add=zz=unix:/tmp/zz", "add=z%00z=127.0.0.1:1",
					"remove=", "remove=zz", "remove=zz&add=zz=127.0.0.1:1", "to=", "to=zz", "to=%ff", "add=%zz", strings.Repeat("a", 4000)+"=1")
			}
			for _, q := range queries {
				r := &http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: "member", Path: path, RawQuery: q}, Header: http.Header{}}
				all = append(all, r)
			}
		}
	}
	return all
}

// TestNoOrderBreaksAServer: whatever is asked of a directory or of a member is answered.
func TestNoOrderBreaksAServer(t *testing.T) {
	t.Parallel()
	dir := Options{Dir: filepath.Join(t.TempDir(), "locks")}
	b := use(t, dir)
	takesOne(t, b, "k", "o")
	c := newCluster(t, Options{}, "a")
	takesOne(t, c.client(), "k", "o")
	for what, is := range map[string]struct {
		cluster, own string
		dial         func(context.Context) (net.Conn, error)
	}{
		"a directory": {shared.Cluster, shared.Member, func(ctx context.Context) (net.Conn, error) { return shared.DialDirectory(ctx, dir.Dir) }},
		"a member": {"test", "a", func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", c.members["a"].addr())
		}},
	} {
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return is.dial(ctx) }}
		t.Cleanup(transport.CloseIdleConnections)
		for _, r := range orders() {
			if what == "a member" && (strings.Contains(r.URL.RawQuery, "zz=127.0.0.1:1") || strings.Contains(r.URL.RawQuery, "unix:")) {
				continue // it is waited for
			}
			for _, cluster := range []string{"", is.cluster} {
				r := r.Clone(within(t, 30*time.Second))
				r.Header.Set(clusterHeader, cluster)
				answer, err := transport.RoundTrip(r)
				if err != nil {
					t.Errorf("%s, %s %s: %v", what, r.Method, r.URL, err)
					continue
				}
				text, err := io.ReadAll(answer.Body)
				if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode >= 500 {
					t.Errorf("%s, %s %s: %s, %q, %v", what, r.Method, r.URL, answer.Status, text, err)
				}
				changes := r.Method == http.MethodPost && (r.URL.Path == "/members" || r.URL.Path == "/leader")
				if changes && what == "a directory" && (answer.StatusCode != http.StatusConflict || !strings.Contains(string(text), "no members to add")) {
					t.Errorf("%s, %s %s: %s, %q", what, r.Method, r.URL, answer.Status, text)
				}
			}
		}
	}
	takesOne(t, b, "k", "p")
	takesOne(t, c.client(), "k", "p")
	a, err := NewAdmin(&dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AddMember(within(t, 10*time.Second), Peer{"zz", "127.0.0.1:7999"}); err == nil || !strings.Contains(err.Error(), "no members to add") || errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("Admin: %v", err)
	}
}
