package servers

import (
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// TestSentinels: the Sentinels put a replica in the place of a master that was killed, a client reaches all at the
// addresses that they tell, and all are gone at the test's end.
func TestSentinels(t *testing.T) {
	t.Run(Redis.String(), func(t *testing.T) { testSentinels(t, Redis) })
	if _, err := findProgram(Redis70); err == nil {
		t.Run("as processes", func(t *testing.T) {
			t.Setenv("FENCELOCK_SERVERS", "process")
			testSentinels(t, Redis70)
		})
	}
}

func testSentinels(t *testing.T, k Kind) {
	var s *Sentinels
	t.Run("the test that uses them", func(t *testing.T) {
		began := time.Now()
		s = StartSentinels(t, k)
		t.Logf("%v in %v", s, time.Since(began).Round(time.Millisecond))
		old := s.Master(t)
		if old != s.Servers[0] || !slices.Equal(s.Replicas(t), s.Servers[1:]) {
			t.Fatalf("the master is %s", old.Addr())
		}
		c := goredis.NewFailoverClient(&goredis.FailoverOptions{MasterName: MasterName, SentinelAddrs: s.SentinelAddrs()})
		defer c.Close()
		if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Wait(t.Context(), 2, time.Minute).Result(); n != 2 {
			t.Fatalf("WAIT: %v, %v", n, err)
		}
		began = time.Now()
		old.Kill(t)
		next := s.MasterAfter(t, old)
		t.Logf("another master after %v", time.Since(began).Round(time.Millisecond))
		eventually(t, "the client has the other", func() bool { return c.Set(t.Context(), "k", "w", 0).Err() == nil })
		if got, err := command(t, next, "GET", "k"); got != "w" {
			t.Errorf("it has %q, %v", got, err)
		}
	})
	if s == nil {
		return // it has said why
	}
	for _, member := range s.Members() {
		if answers(member) {
			t.Errorf("%v still answers", member)
		}
	}
}

// TestSentinelsAsked: a fail-over that was asked for; all keep their roles and their addresses when they restart. All with TLS and
// passwords.
func TestSentinelsAsked(t *testing.T) {
	t.Parallel()
	s := StartSentinels(t, Valkey, TLS(), Password("secret"), SentinelPassword("another"), Args("--min-replicas-to-write", "1"), DownAfter(5*time.Second))
	s.Hasten(t)
	began := time.Now()
	next := s.Failover(t)
	t.Logf("another master after %v", time.Since(began).Round(time.Millisecond))
	if next == s.Servers[0] {
		t.Error("it is the same")
	}
	s.Demote(t, s.Servers[0])
	s.AwaitWhole(t)
	t.Logf("all well after %v", time.Since(began).Round(time.Millisecond))
	s.Kill(t)
	s.Restart(t)
	if got := s.Master(t); got != next {
		t.Errorf("the master is %s, want %s", got.Told(), next.Told())
	}
	c := goredis.NewFailoverClient(&goredis.FailoverOptions{
		MasterName: MasterName, SentinelAddrs: s.SentinelAddrs(), SentinelPassword: "another", Password: "secret", TLSConfig: next.TLSConfig(),
	})
	defer c.Close()
	eventually(t, "it takes writes, with a replica", func() bool { return c.Set(t.Context(), "k", "v", 0).Err() == nil })
	verified := next.TLSConfig()
	verified.ServerName = "" // the address has to be in the certificate
	direct := goredis.NewClient(&goredis.Options{Addr: next.Told(), Password: "secret", TLSConfig: verified})
	defer direct.Close()
	if err := direct.Get(t.Context(), "k").Err(); err != nil {
		t.Error(err)
	}
}

// TestSentinelsCut: a master that is cut off from all but the clients goes on to take writes, beside the other.
func TestSentinelsCut(t *testing.T) {
	t.Parallel()
	s := StartSentinels(t, Redis, DownAfter(500*time.Millisecond))
	old := s.Master(t)
	s.Cut(t, old)
	next := s.MasterAfter(t, old)
	for _, server := range []*Server{old, next} {
		if got, err := command(t, server, "SET", "k", "v"); got != "OK" {
			t.Errorf("%s: %v, %v", server.Addr(), got, err)
		}
	}
	s.Heal(t, old)
	s.Demote(t, old) // it reaches the other
	eventually(t, "it is a replica", func() bool { return old.inSync(t.Context(), next.Told()) == nil })
}
