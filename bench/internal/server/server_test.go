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

func play(t *testing.T, part string, dir *string) func(addr, d string) (*exec.Cmd, error) {
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

func TestStopEndsWhatRunStarted(t *testing.T) {
	var dir string
	s, err := Run(play(t, "stays", &dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop() // again does no harm
	asked := 0
	err = s.Await(t.Context(), time.Minute, func(context.Context) (string, error) {
		if asked++; asked < 3 {
			return "", errors.New("not yet")
		}
		return "Test 1.0", nil
	})
	if err != nil || s.Version != "Test 1.0" {
		t.Errorf("version %q, %v", s.Version, err)
	}
	s.Stop()
	if s.process.ProcessState == nil {
		t.Error("the process is still there")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
}

func TestAwaitTellsWhyTheServerEnded(t *testing.T) {
	var dir string
	s, err := Run(play(t, "fails", &dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	err = s.Await(t.Context(), time.Minute, func(context.Context) (string, error) { return "", errors.New("refused") })
	if err == nil || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("Await = %v, want the server's last words", err)
	}
}

func TestAwaitGivesUp(t *testing.T) {
	s := Running("127.0.0.1:1")
	err := s.Await(t.Context(), time.Millisecond, func(context.Context) (string, error) { return "", errors.New("refused") })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Await = %v", err)
	}
	s.Stop() // not ours: nothing to end
}

func TestRunLeavesNothingWhenThereIsNoProgram(t *testing.T) {
	var dir string
	_, err := Run(func(_, d string) (*exec.Cmd, error) {
		dir = d
		return exec.Command(filepath.Join(d, "none")), nil
	})
	if err == nil {
		t.Fatal("ran a program that is not there")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
}
