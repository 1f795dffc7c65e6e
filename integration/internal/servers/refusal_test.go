package servers

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// recorder is a test that may fail without failing ours.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// fails runs f, and fails unless f makes its test fail with all of these words.
func fails(t *testing.T, f func(T), words ...string) {
	t.Helper()
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(r)
	}()
	<-ended
	if len(r.said) != 1 {
		t.Fatalf("it said %q, want one failure", r.said)
	}
	for _, w := range words {
		if !strings.Contains(r.said[0], w) {
			t.Errorf("it said %q, without %q", r.said[0], w)
		}
	}
}

func TestNothingAvailable(t *testing.T) {
	said := play(t, "start", "PATH=/nonexistent", "DOCKER_HOST=unix:///nonexistent/docker.sock")
	for _, w := range []string{
		"no way to start Redis 7.0: install Docker, or put redis-server on PATH (Debian: apt-get install redis-server), or set FENCELOCK_REDIS70_ADDR",
		"no Docker engine answers", "redis-server is not on PATH",
	} {
		if !strings.Contains(said, w) {
			t.Errorf("it said %q, without %q", said, w)
		}
	}
	if strings.Contains(said, "\n") {
		t.Errorf("it said more than one line: %q", said)
	}
}

func TestForcedWay(t *testing.T) {
	t.Run("docker", func(t *testing.T) {
		said := play(t, "start", "FENCELOCK_SERVERS=docker", "DOCKER_HOST=unix:///nonexistent/docker.sock")
		if !strings.Contains(said, "no way to start") || strings.Contains(said, "PATH]") {
			t.Errorf("it said %q", said)
		}
	})
	t.Run("process", func(t *testing.T) {
		t.Setenv("FENCELOCK_SERVERS", "process")
		t.Setenv("PATH", "/nonexistent")
		fails(t, func(t T) { Start(t, Valkey) }, "no way to start Valkey", "valkey-server is not on PATH")
		fails(t, func(t T) { Start(t, Etcd) }, "no way to start etcd", "or put etcd 3.7.x on PATH, or Go", "etcd is not on PATH")
		fails(t, func(t T) { Start(t, ZooKeeper) }, "no way to start ZooKeeper", "apt-get install default-jre-headless libzookeeper-java", "zkServer.sh is not on PATH")
	})
	t.Run("other", func(t *testing.T) {
		t.Setenv("FENCELOCK_SERVERS", "podman")
		fails(t, func(t T) { Start(t, Redis) }, `FENCELOCK_SERVERS is "podman"`)
	})
}

func TestProgramOfAnotherRelease(t *testing.T) {
	for _, tc := range []struct {
		kind    Kind
		version string
		want    bool
	}{
		{Redis70, "7.0.15", true},
		{Redis70, "7.2.4", false},
		{Redis, "8.0.2", true},
		{Redis, "10.1", true},
		{Redis, "7.4.1", false},
		{Valkey, "8.1.1", true},
		{Valkey, "unstable", false},
	} {
		if got := tc.kind.fits(tc.version); got != tc.want {
			t.Errorf("%v fits %s: %v", tc.kind, tc.version, got)
		}
	}
}

// A server that ends at once must not cost the whole time limit, and must tell why.
func TestBadArguments(t *testing.T) {
	everyWay(t, func(t *testing.T, k Kind) {
		began := time.Now()
		fails(t, func(t T) { Start(t, k, Args("--nonsense", "1")) }, "does not answer", "it has ended", "nonsense")
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestGiven(t *testing.T) {
	s := Start(t, Redis)
	t.Setenv("FENCELOCK_REDIS_ADDR", s.Addr())
	g := Start(t, Redis)
	if g.Addr() != s.Addr() || g.Version() != s.Version() {
		t.Errorf("%v at %s, want that of %v at %s", g, g.Addr(), s, s.Addr())
	}
	fails(t, func(t T) { Start(t, Redis, Args("--appendonly", "yes")) }, "settings of its own", "FENCELOCK_REDIS_ADDR")
	for _, fault := range []func(T){g.Kill, g.Stop, g.Restart, g.Pause, g.Unpause} {
		fails(t, fault, t.Name(), "not ours", "FENCELOCK_REDIS_ADDR")
	}
	t.Setenv("FENCELOCK_REDIS_ADDR", loopback(1))
	fails(t, func(t T) { Start(t, Redis) }, "does not answer", "FENCELOCK_REDIS_ADDR")
}

func TestShared(t *testing.T) {
	a, b := Shared(t, Redis), Shared(t, Redis)
	if a != b || !answers(a) {
		t.Errorf("%v and %v, answering: %v", a, b, answers(a))
	}
	fails(t, a.Kill, "use Start")
	if !answers(a) {
		t.Error("it was killed")
	}
}
