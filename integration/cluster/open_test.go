package cluster_test

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// use opens a URL, and has it take a lock at each master. It returns the warnings.
func (e *env) use(t *testing.T, raw string) []string {
	t.Helper()
	c := locktest.Open(t, raw, e.ns, 15*time.Second)
	for i := range 12 { // by chance on all three
		locktest.Unlock(t, locktest.Lock(t, c, string(rune('a'+i))))
	}
	return c.Info().Warnings
}

// refused opens a URL, and wants an error of a kind that says something, within Open's time.
func refused(t *testing.T, raw string, kind error, says ...string) {
	t.Helper()
	began := time.Now()
	c, err := fencelock.Open(t.Context(), raw, nil)
	if err == nil {
		_ = c.Close()
		t.Errorf("%s opens", raw)
		return
	}
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", raw, err, kind)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want it to say %q", raw, err, part)
		}
	}
	if took := time.Since(began); took > 5*time.Second+locktest.Slack {
		t.Errorf("%s: refused after %v", raw, took)
	}
	if strings.Contains(err.Error(), locktest.Secret) {
		t.Errorf("%v: the error shows a password", err)
	}
}

// TestOpen: any of the nodes will do, also a replica; Open says what weakens the promise, and what is wrong.
func TestOpen(t *testing.T) {
	t.Parallel()
	e := startEnv(t)
	t.Run("one of several", func(t *testing.T) {
		e.use(t, "redis+cluster://127.0.0.1:1,"+e.addrs()[1])
	})
	t.Run("a replica", func(t *testing.T) {
		w := strings.Join(e.use(t, "redis+cluster://"+e.addrs()[3]), "\n")
		for _, part := range []string{"each master: ", "min-replicas-to-write", "no append-only file", "has replicas"} {
			if !strings.Contains(w, part) {
				t.Errorf("warnings %q, want %q", w, part)
			}
		}
		if strings.Contains(w, "clock") {
			t.Errorf("warnings %q, and all have the same clock", w)
		}
	})
	t.Run("durable", func(t *testing.T) {
		refused(t, e.url()+"?durable=true", fencelock.ErrUnsupported, "durable=true", "append-only", "the master ")
	})
	t.Run("one server", func(t *testing.T) {
		s := servers.Shared(t, servers.Redis70)
		refused(t, "redis+cluster://"+s.Addr(), fencelock.ErrUnsupported, "write redis://")
		refused(t, "redis+cluster://"+s.Addr()+",127.0.0.1:1", fencelock.ErrUnsupported, "write redis://", "connection refused")
		refused(t, "redis://"+e.addrs()[0], fencelock.ErrUnsupported, "write redis+cluster://")
	})
	t.Run("TLS", func(t *testing.T) {
		refused(t, "rediss+cluster://"+e.addrs()[0], fencelock.ErrInvalid, "without TLS", "redis+cluster://")
	})
	t.Run("password", func(t *testing.T) {
		u := url.URL{Scheme: "redis+cluster", User: url.UserPassword("x", locktest.Secret), Host: e.addrs()[0]}
		refused(t, u.String(), fencelock.ErrRefused, "WRONGPASS")
	})
}

// TestOpenBroken: a Cluster in which a slot has no master, or one whose master does not answer, is said to be so.
func TestOpenBroken(t *testing.T) {
	t.Parallel()
	e := newEnv(t, servers.StartRedisCluster(t, servers.RedisKind(t), 3, servers.Args("--cluster-node-timeout", "1000")))
	one := goredis.NewClient(&goredis.Options{Addr: e.addrs()[0]})
	defer one.Close()
	e.Nodes[2].Kill(t)
	refused(t, e.url(), fencelock.ErrUnavailable, e.addrs()[2])
	refused(t, "redis+cluster://"+e.addrs()[0], fencelock.ErrUnavailable, e.addrs()[2])
	e.Nodes[2].Restart(t)
	e.AwaitWhole(t)
	for _, n := range e.Nodes { // each believes it by itself
		c := goredis.NewClient(&goredis.Options{Addr: n.Told()})
		defer c.Close()
		if err := c.ClusterDelSlots(t.Context(), 7).Err(); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, e.url(), fencelock.ErrUnavailable, "slots", "no master")
}

// TestOpenSecured: TLS and a password, by a URL and by an application's client.
func TestOpenSecured(t *testing.T) {
	t.Parallel()
	const password = "open-sesame"
	c := servers.StartRedisCluster(t, servers.RedisKind(t), 3, servers.TLS(), servers.Password(password))
	e := &env{RedisCluster: c, ns: locktest.Namespace()}
	conf := c.Nodes[0].TLSConfig()
	files := locktest.CertificateFiles(t, e.addrs()[0], conf)
	u := url.URL{Scheme: "rediss+cluster", User: url.UserPassword("", password), Host: strings.Join(e.addrs(), ",")}
	query := url.Values{"ca": {files.CA}, "cert": {files.Cert}, "key": {files.Key}}
	u.RawQuery = query.Encode()
	e.use(t, u.String())
	u.User = nil
	refused(t, u.String(), fencelock.ErrRefused, "NOAUTH", "rediss+cluster://")
	query.Set("ca", files.Other)
	u.RawQuery = query.Encode()
	refused(t, u.String(), fencelock.ErrUnavailable, "authority")
	refused(t, "redis+cluster://:"+password+"@"+e.addrs()[0], fencelock.ErrInvalid, "TLS", "rediss+cluster://")

	app := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: e.addrs()[:1], Password: password, TLSConfig: conf})
	defer app.Close()
	b, err := redis.New(t.Context(), app, &redis.Options{Namespace: e.ns})
	if err != nil {
		t.Fatal(err)
	}
	locktest.Unlock(t, locktest.Lock(t, locktest.New(t, b, time.Minute), "k"))
	if app = goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: e.addrs()[:1], TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}); app == nil {
		t.Fatal("no client")
	}
	defer app.Close()
	if _, err := redis.New(t.Context(), app, nil); !errors.Is(err, fencelock.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with another authority: %v", err)
	}
}

// TestPermissions: what is documented is enough, also while a slot is on its way, and Open says what is missing.
func TestPermissions(t *testing.T) {
	t.Parallel()
	e := startEnv(t)
	rules := locktest.Permissions(t, "../../backend/redis/doc.go", e.ns)
	onAll := func(name string, rules ...any) string {
		for _, n := range e.Nodes {
			c := goredis.NewClient(&goredis.Options{Addr: n.Told()})
			args := append([]any{"ACL", "SETUSER", name, "reset", "on", ">" + locktest.Secret}, rules...)
			if err := c.Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
		return (&url.URL{Scheme: "redis+cluster", User: url.UserPassword(name, locktest.Secret), Host: e.addrs()[0]}).String() + "?namespace=" + e.ns
	}
	needed := []any{"+cluster|nodes", "+cluster|slots", "+asking"}
	e.use(t, onAll("enough", append(rules, needed...)...))
	for i, missing := range needed {
		var others []any
		for j := range needed {
			if j != i {
				others = append(others, needed[j])
			}
		}
		refused(t, onAll("lacks", append(rules[:len(rules):len(rules)], others...)...), fencelock.ErrRefused, missing.(string))
	}
	refused(t, onAll("reads", append(rules[:len(rules):len(rules)], append(needed, "-set", "-evalsha")...)...), fencelock.ErrRefused, "NOPERM")
}
