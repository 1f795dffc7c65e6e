package sentinel_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

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
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%s: the error shows a password", err)
	}
}

// TestOpen: a URL with logins, an application's options, one Sentinel that tells of the others; and what Open says
// where the URL leads elsewhere.
func TestOpen(t *testing.T) {
	t.Parallel()
	e := startEnv(t, "s3cret-1", calm, servers.SentinelPassword("s3cret-2"))
	sentinels := strings.Join(e.SentinelAddrs(), ",")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := "redis+sentinel://:s3cret-1@" + sentinels + "/" + servers.MasterName + "/2?namespace=" + e.ns + "&sentinel_password_file=" + file
	t.Run("URL", func(t *testing.T) {
		c, err := fencelock.Open(t.Context(), good, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		locktest.Unlock(t, locktest.Lock(t, c, "k"))
		warnings := strings.Join(c.Info().Warnings, "\n")
		if !strings.Contains(warnings, "min-replicas-to-write is not set") || strings.Contains(warnings, "clock") || strings.Contains(warnings, "Sentinels,") {
			t.Errorf("warnings:\n%s", warnings)
		}
		two := goredis.NewClient(&goredis.Options{Addr: e.Master(t).Addr(), Password: "s3cret-1", DB: 2})
		defer two.Close()
		if n := two.Exists(t.Context(), e.ns+":t").Val(); n != 1 {
			t.Errorf("the counter is not in database 2")
		}
	})
	t.Run("one Sentinel", func(t *testing.T) {
		c, err := fencelock.Open(t.Context(), strings.Replace(good, sentinels, e.SentinelAddrs()[0], 1), nil)
		if err != nil {
			t.Fatal(err) // it tells of the others
		}
		_ = c.Close()
	})
	t.Run("options", func(t *testing.T) {
		b, err := redis.NewFailover(t.Context(), &goredis.FailoverOptions{
			MasterName: servers.MasterName, SentinelAddrs: e.SentinelAddrs(), SentinelPassword: "s3cret-2", Password: "s3cret-1",
		}, &redis.Options{Namespace: e.ns})
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Close()
	})
	master := e.Master(t).Told()
	for _, tc := range []struct {
		name, url string
		kind      error
		says      []string
	}{
		{"no password of the Sentinels", strings.Replace(good, "sentinel_password_file="+file, "durable=false", 1), fencelock.ErrRefused, []string{"NOAUTH", "sentinel_password_file="}},
		{"a wrong one", strings.Replace(good, "sentinel_password_file="+file, "sentinel_password=s3cret-1", 1), fencelock.ErrRefused, []string{"WRONGPASS", "sentinel_password_file="}},
		{"a wrong one of the master", strings.Replace(good, "s3cret-1", "s3cret-3", 1), fencelock.ErrRefused, []string{"WRONGPASS"}},
		{"another name", strings.Replace(good, servers.MasterName+"/2", "mymaster", 1), fencelock.ErrInvalid, []string{`"mymaster"`, "but " + servers.MasterName}},
		{"the master itself", "redis+sentinel://" + master + "/m?sentinel_password=s3cret-1", fencelock.ErrInvalid, []string{"no Sentinel", "redis://"}},
		{"a Sentinel as a server", "redis://:s3cret-2@" + e.SentinelAddrs()[0], fencelock.ErrUnsupported, []string{"redis+sentinel://"}},
		{"TLS where there is none", "rediss" + strings.TrimPrefix(good, "redis"), fencelock.ErrInvalid, []string{"without TLS", "redis+sentinel://"}},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.url, tc.kind, tc.says...) })
	}
}

// TestOpenWithoutAMajority: two of three Sentinels are gone.
func TestOpenWithoutAMajority(t *testing.T) {
	t.Parallel()
	e := startEnv(t, "", calm)
	e.Sentinels.Sentinels[0].Kill(t)
	e.Sentinels.Sentinels[2].Kill(t)
	refused(t, e.url(), fencelock.ErrUnavailable, "no majority of the 3 Sentinels", "1 of them answered", e.SentinelAddrs()[1]+" names")
}

// TestOpenDuringAFailover: the master is dead, and the Sentinels do not know it yet.
func TestOpenDuringAFailover(t *testing.T) {
	t.Parallel()
	e := startEnv(t, "")
	old := e.Master(t)
	old.Kill(t)
	until := time.Now().Add(locktest.Electing)
	for {
		c, err := fencelock.Open(t.Context(), e.url(), nil)
		if err == nil {
			locktest.Unlock(t, locktest.Lock(t, c, "k"))
			_ = c.Close()
			return
		}
		// A busy machine may take longer to elect one.
		if !errors.Is(err, fencelock.ErrUnavailable) || !strings.Contains(err.Error(), "as the Sentinels say") || time.Now().After(until) {
			t.Fatalf("Open: %v", err)
		}
	}
}

// TestOpenTLS: to the Sentinels and to the servers.
func TestOpenTLS(t *testing.T) {
	t.Parallel()
	e := startEnv(t, "", calm, servers.TLS())
	first := e.Sentinels.Sentinels[0]
	f := locktest.CertificateFiles(t, first.TLSAddr(), first.TLSConfig())
	q := url.Values{"namespace": {e.ns}, "ca": {f.CA}, "cert": {f.Cert}, "key": {f.Key}}
	raw := "rediss+sentinel://" + strings.Join(e.SentinelAddrs(), ",") + "/" + servers.MasterName
	c, err := fencelock.Open(t.Context(), raw+"?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	locktest.Unlock(t, locktest.Lock(t, c, "k"))
	_ = c.Close()
	refused(t, raw, fencelock.ErrUnavailable, "unknown authority", "ca=")
	refused(t, strings.Replace(raw, "rediss", "redis", 1), fencelock.ErrInvalid, "speaks TLS", "rediss+sentinel://")
}

// TestSentinelsBehindOneName: an address behind which another Sentinel answers each time, as a service of Kubernetes does.
func TestSentinelsBehindOneName(t *testing.T) {
	t.Parallel()
	e := startEnv(t, "", calm)
	var turn atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conf := &goredis.FailoverOptions{
		MasterName: servers.MasterName, SentinelAddrs: []string{l.Addr().String()},
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == l.Addr().String() {
				addr = e.SentinelAddrs()[turn.Add(1)%3]
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	b, err := redis.NewFailover(t.Context(), conf, &redis.Options{Namespace: e.ns})
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
}

// TestOpenWarns: what weakens a fail-over is told, and nothing else.
func TestOpenWarns(t *testing.T) {
	t.Parallel()
	e := startEnv(t, "", calm, servers.SkewedClock(), servers.Args("--appendonly", "yes", "--appendfsync", "always", "--min-replicas-to-write", "1"))
	warnings := func() string {
		c, err := fencelock.Open(t.Context(), e.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return strings.Join(c.Info().Warnings, "\n")
	}
	const inherent = "the server has replicas; a fail-over to one of them may lose locks, as replication is asynchronous"
	if got := warnings(); got != inherent {
		t.Errorf("warnings:\n%s", got)
	}
	replica := e.Replicas(t)[0]
	replica.SetClock(t, -5*time.Second)
	if got := warnings(); !strings.Contains(got, "the clock of the replica "+replica.Told()+" is -") || strings.Count(got, "clock of") != 1 {
		t.Errorf("a clock is behind:\n%s", got)
	}
	replica.SetClock(t, 0)
	e.do(t, e.Master(t), "CONFIG", "SET", "min-replicas-to-write", "0")
	e.Sentinels.Sentinels[1].Kill(t)
	if got := warnings(); !strings.Contains(got, "min-replicas-to-write is not set") || !strings.Contains(got, e.SentinelAddrs()[1]+" does not answer") || strings.Contains(got, "clock") {
		t.Errorf("a Sentinel is gone:\n%s", got)
	}
}
