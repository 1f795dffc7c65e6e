package raftlocal_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"syscall"

	"github.com/fencelock/fencelock/driver"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// urlVariable makes the test binary a process that has opened the URL that it names.
const urlVariable = "FENCELOCK_TEST_OPEN"

// play is the role: it has the URL open until its standard input ends, and so never outlives
// the tests.
func play(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	b, err := raftlocal.Open(context.Background(), u, driver.OpenOptions{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return b.Close()
}

// process has a URL open: a directory that it shares, or a member that it is.
type process struct {
	*exec.Cmd
	url    string
	said   io.Reader
	stderr bytes.Buffer
}

// spawn starts a process, which the caller has to kill.
func spawn(t locktest.T, u string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("%v", err)
	}
	p := &process{Cmd: exec.Command(self), url: u}
	p.Env = append(os.Environ(), urlVariable+"="+u)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Stderr = &p.stderr
	if _, err = p.StdinPipe(); err != nil {
		t.Fatalf("%v", err)
	}
	if p.said, err = p.StdoutPipe(); err == nil {
		// Its goroutine, which copies stderr, is not the backend's.
		locktest.Unlabelled(func() { err = p.Start() })
	}
	if err != nil {
		t.Fatalf("starting a process: %v", err)
	}
	return p
}

// awaitOpen returns when the process has opened its URL.
func (p *process) awaitOpen(t locktest.T) {
	t.Helper()
	if _, err := io.ReadFull(p.said, make([]byte, len("open\n"))); err != nil {
		_ = p.Wait()
		t.Fatalf("a process does not open %s: %v: %s", p.url, err, &p.stderr)
	}
}

// kill ends it with SIGKILL.
func (p *process) kill() error {
	err := p.Process.Kill()
	_ = p.Wait()
	return err
}
