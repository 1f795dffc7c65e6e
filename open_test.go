package fencelock_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// warned is a backend with a warning, which Open finds under warned://.
type warned struct{ driver.Backend }

func (w warned) Info() driver.Info {
	i := w.Backend.Info()
	i.Guarantee, i.Features = driver.Advisory, driver.Fair
	i.Warnings = []string{"the server forgets"}
	return i
}

// openedHosts is the URL that was last opened with the scheme "hosts".
var openedHosts url.URL

func init() {
	fencelock.Register("hosts", func(_ context.Context, u *url.URL, _ driver.OpenOptions) (driver.Backend, error) {
		openedHosts = *u
		return mem.New(mem.NewSpace()), nil
	})
	fencelock.Register("warned", func(_ context.Context, u *url.URL, _ driver.OpenOptions) (driver.Backend, error) {
		if ns := u.Query().Get("namespace"); ns != "ours" {
			return nil, errors.New("namespace=" + ns)
		}
		return warned{mem.New(mem.NewSpace())}, nil
	})
}

func TestOpenRefuses(t *testing.T) {
	const secret = "s3cr3t"
	for _, test := range []struct {
		url  string
		opts *fencelock.Options
		kind error
		want []string // in the message
	}{
		{"redis://user:" + secret + "@host", nil, fencelock.ErrInvalid, []string{"not imported", "fencelock/backend/redis", "mem"}},
		{"raft:///dir", nil, fencelock.ErrInvalid, []string{"not imported", "fencelock/backend/raftlocal"}},
		{"zk://user:" + secret + "@host", nil, fencelock.ErrInvalid, []string{"zookeeper://", "import", "fencelock/backend/zookeeper"}},
		{"etcd:2379", nil, fencelock.ErrInvalid, []string{"slashes", "etcd://host:2379"}},
		{"mem://\n", nil, fencelock.ErrInvalid, []string{"newline"}},
		{"warned://?namespace=theirs", nil, fencelock.ErrUnavailable, []string{"warned://"}},
		{"mem://", &fencelock.Options{RequireGuarantee: 99}, fencelock.ErrInvalid, []string{"Options.RequireGuarantee is 99"}},
		{"redsi://user:" + secret + "@host", nil, fencelock.ErrInvalid, []string{`"redsi"`, "mem", "import"}},
		{"://" + secret, nil, fencelock.ErrInvalid, []string{"cannot be parsed"}},
		{"mem://user:" + secret + "%zz@host", nil, fencelock.ErrInvalid, []string{"cannot be parsed"}},
		{"", nil, fencelock.ErrInvalid, []string{"empty", "redis://host:6379"}},
		{"localhost", nil, fencelock.ErrInvalid, []string{"scheme"}},
		{"localhost:6379", nil, fencelock.ErrInvalid, []string{"scheme"}},
		{"mem://user:" + secret + "@h1,h 2/x", nil, fencelock.ErrInvalid, []string{"cannot be parsed"}},
		{"mem://x?colour=red", nil, fencelock.ErrInvalid, []string{`"colour"`}},
		{"mem://", &fencelock.Options{TTL: -1}, fencelock.ErrInvalid, []string{"Options.TTL"}},
		{"mem://", &fencelock.Options{TTL: 1}, fencelock.ErrInvalid, []string{"Options.TTL"}},
		{"mem://", &fencelock.Options{Identity: strings.Repeat("x", 2000)}, fencelock.ErrInvalid, []string{"Options.Identity"}},
		{"mem://", &fencelock.Options{Identity: "\xff"}, fencelock.ErrInvalid, []string{"Options.Identity"}},
		{"mem://?namespace=a", &fencelock.Options{Namespace: "b"}, fencelock.ErrInvalid, []string{"Options.Namespace", `"a"`, `"b"`}},
		{"warned://?namespace=ours", &fencelock.Options{RequireGuarantee: driver.Linearizable}, fencelock.ErrUnsupported, []string{"linearizable", "advisory: the server forgets"}},
		{"warned://?namespace=ours", &fencelock.Options{RequireFeatures: driver.Fair | driver.Push}, fencelock.ErrUnsupported, []string{"fair+push", "fair"}},
	} {
		if test.opts == nil {
			test.opts = &fencelock.Options{}
		}
		test.opts.Logger = quiet()
		c, err := fencelock.Open(t.Context(), test.url, test.opts)
		if c != nil || !errors.Is(err, test.kind) {
			t.Errorf("Open(%q) = %v, %v; want %v", test.url, c, err, test.kind)
			continue
		}
		for _, w := range test.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("Open(%q): %v; want it to mention %q", test.url, err, w)
			}
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("Open(%q) shows the password: %v", test.url, err)
		}
	}
}

func TestOpen(t *testing.T) {
	var log bytes.Buffer
	c, err := fencelock.Open(t.Context(), "warned://", &fencelock.Options{
		Namespace: "ours", RequireGuarantee: driver.Advisory, RequireFeatures: driver.Fair,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer c.Close()
	if !strings.Contains(log.String(), "the server forgets") {
		t.Errorf("the warning was not logged: %q", log.String())
	}
	if c.Info().Guarantee != driver.Advisory {
		t.Errorf("Info: %+v", c.Info())
	}
	if _, err := fencelock.New(mem.New(mem.NewSpace()), &fencelock.Options{Namespace: "x"}); !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("New with a namespace: %v, want ErrInvalid", err)
	}
}

func TestRegisterPanics(t *testing.T) {
	opener := func(context.Context, *url.URL, driver.OpenOptions) (driver.Backend, error) { return nil, nil }
	for scheme, o := range map[string]fencelock.Opener{"": opener, "UPPER": opener, "mem": opener, "nil": nil} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Register(%q) did not panic", scheme)
				}
			}()
			fencelock.Register(scheme, o)
		}()
	}
}

// TestOpenSeveralHosts passes on a list of hosts as it is written, where url.Parse
// refuses one.
func TestOpenSeveralHosts(t *testing.T) {
	got := &openedHosts
	for hosts, raw := range map[string]string{
		"h1,h2:2":           "hosts://h1,h2:2/ns?namespace=x",
		"h1:1,h2":           "hosts://h1:1,h2/ns?namespace=x",
		"[::1]:1,[::2]:2":   "hosts://us%40er:pa%2Css@[::1]:1,[::2]:2/ns?namespace=x",
		"h1:2379,h2:2379,c": "hosts://a,b:c@h1:2379,h2:2379,c/ns?namespace=x",
	} {
		c, err := fencelock.Open(t.Context(), raw, nil)
		if err != nil {
			t.Errorf("%s: %v", hosts, err)
			continue
		}
		if got.Host != hosts || got.Path != "/ns" || got.Query().Get("namespace") != "x" {
			t.Errorf("%s came as host %q, path %q, query %q", hosts, got.Host, got.Path, got.RawQuery)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
