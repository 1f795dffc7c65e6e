package redlock

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
)

// hidden stands for a password, and must not be seen anywhere.
const hidden = "h1dden"

func TestURL(t *testing.T) {
	for _, tc := range []struct {
		url            string
		addrs          []string
		user, password string
		db             int
		opts           Options
	}{
		{url: "redlock://h1,h2,h3", addrs: []string{"h1:6379", "h2:6379", "h3:6379"}},
		{url: "redlock://h1:1,h1:2,h1:3/", addrs: []string{"h1:1", "h1:2", "h1:3"}},
		{url: "redlock://:p%40%3A%2Fw@[::1]:1,[::2],h/7", addrs: []string{"[::1]:1", "[::2]:6379", "h:6379"}, password: "p@:/w", db: 7},
		{
			url: "redlocks://ann:pw@h1,h2,h3,h4,h5?namespace=a&max_ttl=90s&token=false&server_name=x", user: "ann", password: "pw",
			addrs: []string{"h1:6379", "h2:6379", "h3:6379", "h4:6379", "h5:6379"}, opts: Options{Namespace: "a", MaxTTL: 90 * time.Second, Tokenless: true},
		},
		{url: "redlock://h1,h2,h3?token=true", addrs: []string{"h1:6379", "h2:6379", "h3:6379"}},
	} {
		u, err := parseRaw(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		targets, opts, err := parseURL(u, slog.Default())
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		var addrs []string
		for _, to := range targets {
			addrs = append(addrs, to.conf.Addr)
			if to.conf.Network != "tcp" || to.conf.Username != tc.user || to.conf.Password != tc.password || to.conf.DB != tc.db || to.conf.Dialer == nil || to.watch == nil || to.name != to.conf.Addr {
				t.Errorf("%s: %+v", tc.url, to.conf)
			}
			if to.conf.MaxRetries != -1 {
				t.Errorf("%s: go-redis would ask again by itself", tc.url)
			}
		}
		if !slices.Equal(addrs, tc.addrs) || opts != tc.opts {
			t.Errorf("%s: %q %+v", tc.url, addrs, opts)
		}
	}
}

// Every bad URL gets an error that names what is wrong in it, is ErrInvalid, and
// shows no password.
func TestBadURL(t *testing.T) {
	for raw, says := range map[string]string{
		"redlock://%s@h1":                           "for a single server write redis://",
		"redlock://%s@h1,h2":                        "A majority of 2 is 2, so that 0 may fail, as of 1",
		"redlock://%s@h1,h2,h3,h4":                  "3, 5 or 7. A majority of 4 is 3, so that 1 may fail, as of 3",
		"redlock://%s@h1,h2,h3,h4,h5,h6":            "names 6 hosts",
		"redlock://%s@a,b,c,d,e,f,g,h":              "3, 5 or 7",
		"redlock://%s@a,b,c,d,e,f,g,h,i":            "names 9 hosts",
		"redlock://%s@h1,h2,h1":                     "the host h1:6379 twice",
		"redlock://%s@h1,h2:6379,h2":                "the host h2:6379 twice",
		"redlock://%s@h1,,h3":                       "a host in the list is empty",
		"redlock://%s@h1,h2:x,h3":                   "port",
		"redlock://%s@":                             "host is missing",
		"redlock://%s@h1,h2,h3/x":                   "database /x",
		"redlock://%s@h1,h2,h3?namespace={a}":       "namespace",
		"redlock://%s@h1,h2,h3?max_ttl=60":          "such as 1m",
		"redlock://%s@h1,h2,h3?max_ttl=":            "max_ttl",
		"redlock://%s@h1,h2,h3?max_ttl=999ms":       "from 1s to 24h",
		"redlock://%s@h1,h2,h3?max_ttl=25h":         "from 1s to 24h",
		"redlock://%s@h1,h2,h3?max_ttl=1000.5ms":    "whole milliseconds",
		"redlock://%s@h1,h2,h3?token=no":            "true or false",
		"redlock://%s@h1,h2,h3?db=1":                "as the path",
		"redlock://%s@h1,h2,h3?durable=true":        "one of redis://",
		"redlock://%s@h1,h2,h3?ca=/etc/ca.pem":      "redlocks://",
		"redlock://%s@h1,h2,h3?tls=true":            "redlocks://",
		"redlocks://%s@h1,h2,h3?tls=true":           "says already",
		"redlocks://%s@h1,h2,h3?ca=/no/such/file":   "ca=",
		"redlock://%s@h1,h2,h3?password_file=/etc/": "give one of them",
		"redlock://%s@h1,h2,h3?quorum=2":            `"quorum"`,
		"redlock://%s@h1,h2,h3?ttl=10s":             "Options.TTL",
		"redlock://%s@h1,h2,h3?maxttl=10s":          "max_ttl= perhaps",
	} {
		u, err := parseRaw(fmt.Sprintf(raw, "ann:"+hidden))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = parseURL(u, slog.Default())
		if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v; want ErrInvalid that says %q, without the password", raw, err, says)
		}
	}
	u := &url.URL{Scheme: "redlock", User: url.User(hidden), Host: "h1,h2,h3"}
	if _, _, err := parseURL(u, slog.Default()); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "redlock://:password@host") || strings.Contains(err.Error(), hidden) {
		t.Errorf("a user without a password: %v", err)
	}
}

func TestBadRawURL(t *testing.T) {
	for _, raw := range []string{"", "h1,h2,h3", "redis://ann:" + hidden + "@h", "redlock://ann:" + hidden + "%zz@h1,h2,h3", "redlock://ann:" + hidden + "@h1 ,h2,h3"} {
		for _, err := range []error{second(Status(t.Context(), raw)), Replace(t.Context(), raw, nil)} {
			if !errors.Is(err, fencelock.ErrInvalid) || strings.Contains(err.Error(), hidden) {
				t.Errorf("%q: %v; want ErrInvalid without the password", raw, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestBadOptions(t *testing.T) {
	var three []goredis.UniversalClient
	for _, addr := range []string{"localhost:1", "localhost:2", "localhost:3"} {
		client := goredis.NewClient(&goredis.Options{Addr: addr})
		defer client.Close()
		three = append(three, client)
	}
	client := three[0]
	for says, call := range map[string]func() error{
		"3, 5 or 7":     func() error { return second(New(t.Context(), three[:2], nil)) },
		"client 1":      func() error { return second(New(t.Context(), []goredis.UniversalClient{client, nil, client}, nil)) },
		`namespace "{"`: func() error { return second(New(t.Context(), three, &Options{Namespace: "{"})) },
		"MaxTTL 1ns":    func() error { return second(New(t.Context(), three, &Options{MaxTTL: 1})) },
		"localhost:1 tw": func() error {
			return second(New(t.Context(), []goredis.UniversalClient{client, three[1], client}, nil))
		},
	} {
		if err := call(); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want ErrInvalid that says %q", err, says)
		}
	}
}
