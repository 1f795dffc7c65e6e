package servers

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// everyWay runs a test with each kind as this machine starts it, and with plain
// processes.
func everyWay(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range Redises() {
		t.Run(k.String(), func(t *testing.T) { test(t, k) })
		if _, err := findProgram(k); err == nil {
			t.Run(k.String()+" as a process", func(t *testing.T) {
				t.Setenv("FENCELOCK_SERVERS", "process")
				test(t, k)
			})
		}
	}
	t.Run("fake as a process", func(t *testing.T) {
		fakeProgram(t)
		test(t, Redis70)
	})
}

// fakeProgram puts the test binary in the place of redis-server.
func fakeProgram(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FENCELOCK_SERVERS", "process")
	t.Setenv("FENCELOCK_REDIS70_PROGRAM", self)
	t.Setenv(role, "server")
}

func TestStart(t *testing.T) {
	everyWay(t, func(t *testing.T, k Kind) {
		began := time.Now()
		s := Start(t, k)
		t.Logf("%v in %v", s, time.Since(began).Round(time.Millisecond))
		if !answers(s) {
			t.Error("it does not answer")
		}
		if s.Kind().name != k.name || s.Version() == "" || s.Socket() != "" || s.TLSAddr() != "" {
			t.Errorf("kind %v, version %q, socket %q, TLS at %q", s.Kind(), s.Version(), s.Socket(), s.TLSAddr())
		}
	})
}

func TestRemovedAtTheEnd(t *testing.T) {
	everyWay(t, func(t *testing.T, k Kind) {
		var s *Server
		t.Run("the test that uses it", func(t *testing.T) { s = Start(t, k) })
		if answers(s) {
			t.Error("it still answers")
		}
	})
}

func TestKillAndRestart(t *testing.T) {
	everyWay(t, func(t *testing.T, k Kind) {
		s := Start(t, k)
		addr := s.Addr()
		for range 2 {
			s.Kill(t)
			if answers(s) {
				t.Error("it answers after Kill")
			}
			s.Restart(t)
			if s.Addr() != addr || !answers(s) {
				t.Errorf("after Restart, at %s: %v; it was at %s", s.Addr(), answers(s), addr)
			}
		}
	})
}

func TestStopAndRestart(t *testing.T) {
	everyWay(t, func(t *testing.T, k Kind) {
		s := Start(t, k)
		s.Stop(t)
		if answers(s) {
			t.Error("it answers after Stop")
		}
		s.Restart(t)
		s.Restart(t) // one that runs
		if !answers(s) {
			t.Error("it does not answer after Restart")
		}
	})
}

func TestPause(t *testing.T) {
	everyWay(t, func(t *testing.T, k Kind) {
		s := Start(t, k)
		s.Pause(t)
		if answers(s) {
			t.Error("it answers while it is paused")
		}
		s.Unpause(t)
		if !answers(s) {
			t.Error("it does not answer after Unpause")
		}
		s.Pause(t) // and is removed so
	})
}

func TestDataSurvivesKill(t *testing.T) {
	for _, k := range Redises() {
		t.Run(k.String(), func(t *testing.T) {
			s := Start(t, k, Args("--appendonly", "yes", "--appendfsync", "always"))
			ask(t, s, "SET kept yes", "+OK")
			s.Kill(t)
			s.Restart(t)
			ask(t, s, "GET kept", "$3")
			ask(t, s, "SET kept no", "+OK")
			s.Stop(t)
			s.Restart(t)
			ask(t, s, "GET kept", "$2")
		})
	}
}

func TestEachStartIsEmpty(t *testing.T) {
	a := Start(t, Redis70)
	ask(t, a, "SET k v", "+OK")
	b := Start(t, Redis70)
	ask(t, b, "GET k", "$-1")
}

func answers(s *Server) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	return s.kind.ping(ctx, s.addr) == nil
}

// ask sends a command and compares the first line of the answer.
func ask(t *testing.T, s *Server, command, want string) {
	t.Helper()
	got, err := askServer(context.Background(), s.addr, command+"\r\n", func(r *bufio.Reader) (string, error) { return r.ReadString('\n') })
	if err != nil || strings.TrimSpace(got) != want {
		t.Fatalf("%s: %q, %v; want %q", command, got, err, want)
	}
}

// play runs the test binary in another role, in the environment of this test.
func play(t *testing.T, as string, env ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), role+"="+as), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if as != "crash" && err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
