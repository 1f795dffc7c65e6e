package zookeeper

import (
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
)

const hidden = "hunter2-s3cret"

// parse is what Open makes of a URL. Not every list of hosts gets through url.Parse,
// but all that get through must be understood.
func parse(t *testing.T, raw string) (config, error) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parseURL(u, slog.Default())
}

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]struct {
		hosts        string
		chroot, name string
	}{
		"zookeeper://h":                    {"h:2181", "", "fencelock"},
		"zookeeper://h/":                   {"h:2181", "", "fencelock"},
		"zookeeper://h1,h2,h3":             {"h1:2181 h2:2181 h3:2181", "", "fencelock"},
		"zookeeper://h1:1,h2:2/apps/locks": {"h1:1 h2:2", "/apps/locks", "fencelock"},
		"zookeeper://h1,h2:2/?namespace=a": {"h1:2181 h2:2", "", "a"},
		"zookeeper://[::1]:2182":           {"[::1]:2182", "", "fencelock"},
		"zookeeper://[::1]":                {"[::1]:2181", "", "fencelock"},
		"zookeepers://h/a%20b":             {"h:2181", "/a b", "fencelock"},
	} {
		conf, err := parse(t, raw)
		if got := strings.Join(conf.hosts, " "); err != nil || got != want.hosts || conf.chroot != want.chroot || conf.namespace != want.name {
			t.Errorf("%s: %q, %q, %q, %v; want %+v", raw, got, conf.chroot, conf.namespace, err, want)
		}
		if (conf.tls != nil) != strings.HasPrefix(raw, "zookeepers") {
			t.Errorf("%s: TLS %v", raw, conf.tls != nil)
		}
	}
	// As a parser that knows lists of hosts would give them.
	for host, want := range map[string]string{
		"h1:1,h2":           "h1:1 h2:2181",
		"[::1]:2,[::2],h:3": "[::1]:2 [::2]:2181 h:3",
	} {
		conf, err := parseURL(&url.URL{Scheme: "zookeeper", Host: host}, slog.Default())
		if got := strings.Join(conf.hosts, " "); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", host, got, err, want)
		}
	}
	if _, err := parseURL(&url.URL{Scheme: "zookeeper", Host: "::1,h"}, slog.Default()); !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("an address without brackets: %v", err)
	}
}

func TestAccess(t *testing.T) {
	world, auth := zk.WorldACL(zk.PermAll), zk.AuthACL(zk.PermAll)
	for raw, want := range map[string]struct {
		auth string
		acl  []zk.ACL
	}{
		"zookeeper://h":                     {"", world},
		"zookeeper://u:p%3A%2F@h":           {"u:p:/", auth},
		"zookeeper://u:p@h?acl=auth::cdrwa": {"u:p", auth},
		"zookeeper://h?acl=world:anyone:r":  {"", zk.WorldACL(zk.PermRead)},
		"zookeeper://h?acl=digest:u:aGk%3D:dr,ip:10.0.0.0/8:c": {"", []zk.ACL{
			{Scheme: "digest", ID: "u:aGk=", Perms: zk.PermDelete | zk.PermRead}, {Scheme: "ip", ID: "10.0.0.0/8", Perms: zk.PermCreate},
		}},
	} {
		conf, err := parse(t, raw)
		if err != nil || string(conf.auth) != want.auth || !slices.Equal(conf.acl, want.acl) {
			t.Errorf("%s: %q, %v, %v; want %+v", raw, conf.auth, conf.acl, err, want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, field := range map[string]string{
		"zookeeper://@":                                 "host",
		"zookeeper://@/a":                               "host",
		"zookeeper://@h1,,h2":                           "empty",
		"zookeeper://@h,":                               "empty",
		"zookeeper://@h:":                               "port",
		"zookeeper://@h:0":                              "port",
		"zookeeper://@h:65536":                          "port",
		"zookeeper://@h//a":                             "path",
		"zookeeper://@h/a/../b":                         "path",
		"zookeeper://@h/a%00":                           "path",
		"zookeeper://@h?namespace=":                     "namespace",
		"zookeeper://@h?namespace=a%2Fb":                "namespace",
		"zookeeper://@h?namespace=zookeeper":            "namespace",
		"zookeeper://@h?namespace=a&namespace=b":        `"namespace" is given twice`,
		"zookeeper://@h?Namespace=a":                    `"Namespace"`,
		"zookeeper://@h?timeout=3":                      `"timeout"`,
		"zookeeper://@h?acl=":                           "acl=",
		"zookeeper://@h?acl=world":                      "acl=, entry 1",
		"zookeeper://@h?acl=world:anyone:r,x":           "acl=, entry 2",
		"zookeeper://@h?acl=world:anyone:":              "no permissions",
		"zookeeper://@h?acl=world:anyone:rx":            "cdrwa",
		"zookeeper://@h?ca=/etc/ca.pem":                 `"ca"`,
		"zookeeper://@h?a=%zz":                          "query",
		"zookeeper://@h?a;b":                            "query",
		"zookeepers://@h?ca=/does/not/exist":            "ca=",
		"zookeepers://@h?ca=" + junk:                    "no PEM certificate",
		"zookeepers://@h?cert=" + junk:                  "key=",
		"zookeepers://@h?key=" + junk:                   "cert=",
		"zookeepers://@h?cert=" + junk + "&key=" + junk: "cert=, key=",
	} {
		_, err := parse(t, strings.Replace(raw, "@", "ann:"+hidden+"@", 1))
		switch {
		case !errors.Is(err, fencelock.ErrInvalid):
			t.Errorf("%s: %v, want ErrInvalid", raw, err)
		case !strings.Contains(err.Error(), field):
			t.Errorf("%s: %v: want it to name %s", raw, err, field)
		case strings.Contains(err.Error(), hidden):
			t.Errorf("%s: %v: the password shows", raw, err)
		}
	}
	for _, raw := range []string{"zookeeper://ann@h", "zookeeper://ann:@h", "zookeeper://:" + hidden + "@h", "zookeeper://a%3Ab:" + hidden + "@h"} {
		if _, err := parse(t, raw); !errors.Is(err, fencelock.ErrInvalid) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v, want ErrInvalid without the password", raw, err)
		}
	}
}
