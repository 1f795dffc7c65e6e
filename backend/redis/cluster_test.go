package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/cluster"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

func TestClusterURL(t *testing.T) {
	u := &url.URL{Scheme: "redis+cluster", Host: "h1,[::1]:7000,h3:7001", User: url.UserPassword("ann", "pw"), RawQuery: "namespace=n&durable=true", Path: "/0"}
	conf, opts, err := parseClusterURL(u, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"h1:6379", "[::1]:7000", "h3:7001"}; !slices.Equal(conf.seeds, want) || opts.Namespace != "n" || !opts.Durable {
		t.Errorf("%v, %+v", conf.seeds, opts)
	}
	one := conf.options("192.0.2.1:7")
	if one.Network != "tcp" || one.Addr != "192.0.2.1:7" || one.Username != "ann" || one.Password != "pw" || one.DB != 0 || one.Dialer == nil || one.MaxRetries != -1 {
		t.Errorf("%+v", one)
	}
}

// Every bad URL gets an error that names what is wrong in it, is ErrInvalid, and shows no password.
func TestBadClusterURL(t *testing.T) {
	for raw, field := range map[string]string{
		"h1,,h3":                  "empty",
		"h1:0,h2":                 "port",
		"h1/1":                    "database /1",
		"h1/x":                    "database /x",
		"h1?db=1":                 "of which a Cluster has one",
		"h1?namespace={a}":        "namespace",
		"h1?durable=perhaps":      "durable",
		"h1?ca=/x":                "rediss+cluster",
		"h1?sentinel_password=pw": "redis+sentinel",
		"h1?password_file=/p":     "give one of them",
		"h1?read_only=1":          "read_only",
	} {
		address, query, _ := strings.Cut(raw, "?")
		host, path, _ := strings.Cut(address, "/")
		u := &url.URL{Scheme: "redis+cluster", User: url.UserPassword("ann", hidden), Host: host, Path: "/" + path, RawQuery: query}
		_, _, err := parseClusterURL(u, slog.Default())
		if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v; want ErrInvalid that says %q, and no password", raw, err, field)
		}
	}
}

// What an application's options of a Cluster's client say is followed.
func TestClusterOf(t *testing.T) {
	dialled := errors.New("dialled")
	ask := func(context.Context) (user, password string, err error) { return "ann", "pw", nil }
	options := func() *goredis.ClusterOptions {
		return &goredis.ClusterOptions{
			Addrs: []string{"h1:1", "h2:2"}, ClientName: "me", CredentialsProviderContext: ask, MaxRetries: 7, MinIdleConns: 9, ReadOnly: true,
			Dialer:    func(context.Context, string, string) (net.Conn, error) { return nil, dialled },
			OnConnect: func(context.Context, *goredis.Conn) error { return nil },
		}
	}
	theirs := options()
	theirs.NewClient = func(o *goredis.Options) *goredis.Client {
		o.ClientName += " at " + o.Addr
		return goredis.NewClient(o)
	}
	for name, o := range map[string]*goredis.ClusterOptions{"me": options(), "me at h3:3": theirs} {
		client := goredis.NewClusterClient(o)
		defer client.Close()
		conf, err := clusterOf(client, slog.Default())
		if err != nil || !slices.Equal(conf.seeds, []string{"h1:1", "h2:2"}) {
			t.Fatalf("%v, %v", conf.seeds, err)
		}
		one := conf.options("h3:3")
		if got := loginOf(t, &one); got != "ann pw" || one.Addr != "h3:3" || one.ClientName != name || one.OnConnect == nil || one.MaxRetries != -1 || one.MinIdleConns != 0 {
			t.Errorf("%q, %+v", got, one)
		}
		if _, err := one.Dialer(t.Context(), "tcp", "x:1"); !errors.Is(err, dialled) {
			t.Errorf("another dialler: %v", err)
		}
	}
}

// With TLS the certificate is to be for the host that is dialled, and who dials gives up with its context.
func TestClusterOfWithTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{l.Addr().String()}, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}})
	defer client.Close()
	conf, err := clusterOf(client, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := conf.options("x:1").Dialer(ctx, "tcp", l.Addr().String()); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// What is true of all masters is said once; else it says of which.
func TestWarningsOfMasters(t *testing.T) {
	masters := []cluster.Master{{Addr: "h1:1"}, {Addr: "h2:2"}}
	w := warningsOf(masters, make([]prepared, 2))
	if len(w) < 2 || !strings.HasPrefix(w[0], "each master: ") || !strings.Contains(strings.Join(w, "\n"), "min-replicas-to-write") {
		t.Errorf("%q", w)
	}
	for _, x := range w {
		if strings.Contains(x, "h1") {
			t.Errorf("%q", x)
		}
	}
}

func TestNodeSettings(t *testing.T) {
	redis := prepared{settings: map[string]string{nodeTimeout: "15000", redisPause: "10000"}}
	valkey := prepared{settings: map[string]string{nodeTimeout: "2000", valkeyFailover: "4000"}}
	for _, tc := range []struct {
		found            []prepared
		timeout, longest time.Duration
	}{
		{[]prepared{redis, redis}, 15 * time.Second, 10 * time.Second},
		{[]prepared{redis, valkey}, 2 * time.Second, 10 * time.Second},
		{[]prepared{valkey}, 2 * time.Second, 8 * time.Second},
		{[]prepared{redis, {}}, time.Second, 10 * time.Second},
		{[]prepared{{}}, time.Second, 0},
	} {
		var w writePauses
		w.set(tc.found)
		if got := leastNodeTimeout(tc.found); got != tc.timeout || w.longest.Load() != tc.longest.Milliseconds() {
			t.Errorf("%v: node timeout %v, pauses of %d ms", tc.found, got, w.longest.Load())
		}
	}
}

// The first lease that is shorter than a slot's move may take is told of, once.
func TestShortLeaseIsToldOf(t *testing.T) {
	said := make(chan string, 10)
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) { said <- string(b) }), nil))
	w := writePauses{contact: address.NewContact(log)}
	w.contact.Reached()
	w.set([]prepared{{settings: map[string]string{redisPause: "10000"}}})
	for _, ttl := range []string{serverTTL(10 * time.Second), serverTTL(time.Minute), "", serverTTL(2 * time.Second), serverTTL(time.Second)} {
		w.look(ttl)
	}
	if got := <-said; !strings.Contains(got, "ttl=2s") || !strings.Contains(got, "pause=10s") {
		t.Errorf("%q", got)
	}
	time.Sleep(10 * time.Millisecond)
	if len(said) > 0 {
		t.Errorf("and %q", <-said)
	}
}

type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
