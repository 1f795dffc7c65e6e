package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
)

// hidden stands for a password, and must not be seen anywhere.
const hidden = "h1dden"

func parse(t *testing.T, raw string) (*url.URL, error) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = parseURL(u, slog.Default())
	return u, err
}

func TestURL(t *testing.T) {
	for _, tc := range []struct {
		url, network, addr, user, password string
		db                                 int
		namespace                          string
		durable                            bool
		wait                               int
	}{
		{url: "redis://h", network: "tcp", addr: "h:6379"},
		{url: "redis://h:1234/", network: "tcp", addr: "h:1234"},
		{url: "redis://127.0.0.1/15", network: "tcp", addr: "127.0.0.1:6379", db: 15},
		{url: "redis://[::1]:7000/2", network: "tcp", addr: "[::1]:7000", db: 2},
		{url: "redis://[::1]", network: "tcp", addr: "[::1]:6379"},
		{url: "redis://:p%40%3A%2Fw@h", network: "tcp", addr: "h:6379", password: "p@:/w"},
		{url: "redis://ann:pw@h", network: "tcp", addr: "h:6379", user: "ann", password: "pw"},
		{url: "redis://h?namespace=a.b_c:d-1&durable=true", network: "tcp", addr: "h:6379", namespace: "a.b_c:d-1", durable: true},
		{url: "redis://h?durable=false", network: "tcp", addr: "h:6379"},
		{url: "redis://h?wait=2", network: "tcp", addr: "h:6379", wait: 2},
		{url: "redis://h?wait=0", network: "tcp", addr: "h:6379"},
		{url: "rediss://h?server_name=other", network: "tcp", addr: "h:6379"},
		{url: "unix:///run/redis.sock", network: "unix", addr: "/run/redis.sock"},
		{url: "unix://ann:pw@/run/r%20s.sock?db=3&namespace=x", network: "unix", addr: "/run/r s.sock", user: "ann", password: "pw", db: 3, namespace: "x"},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		conf, opts, _, err := parseURL(u, slog.Default())
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		if conf.Network != tc.network || conf.Addr != tc.addr || conf.Username != tc.user || conf.Password != tc.password || conf.DB != tc.db {
			t.Errorf("%s: %s %s %q %q %d", tc.url, conf.Network, conf.Addr, conf.Username, conf.Password, conf.DB)
		}
		if conf.Dialer == nil || opts.Namespace != tc.namespace || opts.Durable != tc.durable || opts.Wait != tc.wait {
			t.Errorf("%s: %+v", tc.url, opts)
		}
		if conf.MaxRetries != -1 || conf.DialerRetries != 1 || !conf.ContextTimeoutEnabled {
			t.Errorf("%s: go-redis would ask again by itself, or not heed a context", tc.url)
		}
	}
}

// Every bad URL gets an error that names what is wrong in it, is ErrInvalid, and
// shows no password.
func TestBadURL(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, field := range map[string]string{
		"redis://%s@":                                 "host",
		"redis://%s@/0":                               "host",
		"redis://%s@:6379":                            "host",
		"redis://%s@h1,h2":                            "several hosts",
		"redis://%s@h1,h2:6379/0":                     "several hosts",
		"redis://%s@h:0":                              "port",
		"redis://%s@h:65536":                          "port",
		"redis://%s@h/x":                              "database /x",
		"redis://%s@h/-1":                             "database /-1",
		"redis://%s@h/1/2":                            "database /1/2",
		"redis://%s@h?namespace=":                     "namespace",
		"redis://%s@h?namespace={a}":                  "namespace",
		"redis://%s@h?namespace=a%%20b":               "namespace",
		"redis://%s@h?namespace=" + long(65):          "64",
		"redis://%s@h?namespace=a&namespace=b":        `"namespace" is given twice`,
		"redis://%s@h?durable=perhaps":                "durable",
		"redis://%s@h?durable=":                       "durable",
		"redis://%s@h?wait=":                          "wait",
		"redis://%s@h?wait=-1":                        "wait",
		"redis://%s@h?wait=all":                       "wait",
		"redis://%s@h?wait=256":                       "wait",
		"redis://%s@h?Durable=true":                   `"Durable"`,
		"redis://%s@h?db=1":                           `"db"`,
		"redis://%s@h?pool_size=10":                   `"pool_size"`,
		"redis://%s@h?password_file=" + junk:          "give one of them",
		"redis://%s@h?password_file=/does/not/exist":  "password_file=",
		"unix://%s@/run/s?password_file=" + empty:     "it is empty",
		"redis://%s@h?password=x":                     `"password"`,
		"redis://%s@h?ca=/etc/ca.pem":                 `"ca"`,
		"redis://%s@h?server_name=x":                  `"server_name"`,
		"redis://%s@h?a=%%zz":                         "query",
		"redis://%s@h?a;b":                            "query",
		"rediss://%s@h?ca=/does/not/exist.pem":        "ca=",
		"rediss://%s@h?ca=" + junk:                    "no PEM certificate",
		"rediss://%s@h?cert=" + junk:                  "key=",
		"rediss://%s@h?key=" + junk:                   "cert=",
		"rediss://%s@h?cert=" + junk + "&key=" + junk: "cert=, key=",
		"unix://%s@":                                  "socket",
		"unix://%s@/":                                 "socket",
		"unix://%s@run/redis.sock":                    "three slashes",
		"unix://%s@/run/redis.sock?db=x":              "db=x",
		"unix://%s@/run/redis.sock?ca=/etc/ca.pem":    `"ca"`,
	} {
		ann := "ann:" + hidden
		if strings.Contains(raw, "password_file") && !strings.Contains(field, "give one") {
			ann = "ann"
		}
		_, err := parse(t, fmt.Sprintf(raw, ann))
		if !errors.Is(err, fencelock.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", raw, err)
			continue
		}
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v: want it to name %s", raw, err, field)
		}
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v: the password shows", raw, err)
		}
	}
}

// A user without a password is no login: go-redis would send none, and the server would take us
// for the user "default". Mostly it is a password without its colon.
func TestUserWithoutPassword(t *testing.T) {
	for raw, form := range map[string]string{
		"redis://%s@h":             "redis://:password@host",
		"redis://%s:@h/1":          "redis://user:password@host",
		"rediss://%s@h":            "rediss://:password@host",
		"unix://%s@/run/s?db=1":    "unix://:password@/path",
		"redis://%s@h?durable=yes": "password_file=",
	} {
		_, err := parse(t, fmt.Sprintf(raw, hidden))
		if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), form) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v; want ErrInvalid that says %s, and not what stands before the @", raw, err, form)
		}
	}
}

// What net/url itself refuses is fencelock.Open's to report, without quoting it.
func TestOpenHidesPassword(t *testing.T) {
	for _, raw := range []string{"redis://ann:" + hidden + "@h:port", "redis://ann:" + hidden + "%zz@h", "redis://ann:" + hidden + "@h\x7f", "redis:ann:" + hidden + "@h"} {
		if _, err := fencelock.Open(t.Context(), raw, nil); !errors.Is(err, fencelock.ErrInvalid) || strings.Contains(err.Error(), hidden) {
			t.Errorf("Open = %v; want ErrInvalid without the password", err)
		}
	}
}

func long(n int) string { return strings.Repeat("n", n) }
