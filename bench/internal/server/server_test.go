package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asServer makes the test binary play the server: it says what it is asked to and then exits or stays.
const asServer = "FENCELOCK_BENCH_TEST_SERVER"

func TestMain(m *testing.M) {
	switch os.Getenv(asServer) {
	case "stays":
		time.Sleep(time.Minute)
		os.Exit(0)
	case "fails":
		fmt.Fprintln(os.Stderr, "the port is taken")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func play(t *testing.T, part string, dir *string) Command {
	t.Helper()
	return func(_, d string) (*exec.Cmd, error) {
		*dir = d
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), asServer+"="+part)
		return cmd, nil
	}
}

func refused(context.Context, string) (string, error) { return "", errors.New("refused") }

func TestStopEndsWhatStartRan(t *testing.T) {
	var dir string
	asked := 0
	s, err := Start(t.Context(), "", play(t, "stays", &dir), time.Minute, func(context.Context, string) (string, error) {
		if asked++; asked < 3 {
			return "", errors.New("not yet")
		}
		return "Test 1.0", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop() // again does no harm
	if s.Version != "Test 1.0" {
		t.Errorf("version %q", s.Version)
	}
	s.Stop()
	if s.process.ProcessState == nil {
		t.Error("the process is still there")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
}

func TestKillAndRestart(t *testing.T) {
	var dir string
	s, err := Start(t.Context(), "", play(t, "stays", &dir), time.Minute, func(context.Context, string) (string, error) { return "Test 1.0", nil })
	if err != nil {
		t.Fatal(err)
	}
	all := s.With(&Server{Addr: "of somebody else"})
	defer all.Stop()
	if _, err := all.Kill("of somebody else"); err == nil {
		t.Error("a server that was not started here could be killed")
	}
	before := s.process
	restart, err := all.Kill(s.Addr)
	if err != nil || before.ProcessState == nil {
		t.Fatalf("Kill = %v, and the process has the state %v", err, before.ProcessState)
	}
	if _, err := all.Kill(s.Addr); err != nil {
		t.Errorf("who has ended cannot be started again: %v", err)
	}
	kept := dir
	if err := restart(t.Context()); err != nil || dir != kept || s.process == before {
		t.Errorf("restart = %v, in %s after %s", err, dir, kept)
	}
}

func TestStartTellsWhyTheServerEnded(t *testing.T) {
	var dir string
	_, err := Start(t.Context(), "", play(t, "fails", &dir), time.Minute, refused)
	if err == nil || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("Start = %v, want the server's last words", err)
	}
}

func TestStartGivesUp(t *testing.T) {
	var dir string
	for _, addr := range []string{"127.0.0.1:1", ""} { // somebody else's: nothing to end; and ours
		_, err := Start(t.Context(), addr, play(t, "stays", &dir), time.Millisecond, refused)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("Start(%q) = %v", addr, err)
		}
		if (dir != "") != (addr == "") {
			t.Errorf("Start(%q) made the directory %q", addr, dir)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory of the one that did not answer is still there: %v", err)
	}
}

func TestStartLeavesNothingWhenThereIsNoProgram(t *testing.T) {
	var dir string
	none := func(_, d string) (*exec.Cmd, error) {
		dir = d
		return exec.Command(filepath.Join(d, "none")), nil
	}
	if _, err := Start(t.Context(), "", none, time.Minute, refused); err == nil {
		t.Fatal("ran a program that is not there")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
}

func TestSuspendedServerAnswersAgain(t *testing.T) {
	if suspend == nil {
		t.Skip("a process cannot be suspended here")
	}
	var dir string
	s, err := Start(t.Context(), "", play(t, "stays", &dir), time.Minute, func(context.Context, string) (string, error) { return "Test 1.0", nil })
	if err != nil {
		t.Fatal(err)
	}
	all := s.With(&Server{Addr: "of somebody else"})
	defer all.Stop() // ends one that is suspended, too
	if _, err := all.Suspend("of somebody else"); err == nil {
		t.Error("a server that was not started here could be suspended")
	}
	resume, err := all.Suspend(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := resume(); err != nil {
		t.Error(err)
	}
}
