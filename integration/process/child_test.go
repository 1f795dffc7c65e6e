package process_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// The environment of a child.
const (
	roleVariable     = "FENCELOCK_TEST_ROLE"
	urlVariable      = "FENCELOCK_TEST_URL"
	ttlVariable      = "FENCELOCK_TEST_TTL"
	resourceVariable = "FENCELOCK_TEST_RESOURCE"
	seedVariable     = "FENCELOCK_TEST_SEED"
)

// child is this test binary, run once more as a process of its own. It ends with its
// standard input, and so never outlives the tests. One that is suspended then gets
// SIGHUP, as a member of a process group that has lost its parent.
type child struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr bytes.Buffer
	exited chan struct{} // closed when it has, and all it said has been heard
	heard  func(word)    // called with each word; may be nil

	mu   sync.Mutex
	said []word
	next int // the first word that expect has not seen
}

// start runs a child, which is killed at the test's end.
func start(t *testing.T, name string, env map[string]string, heard func(word)) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{name: name, cmd: exec.Command(self), exited: make(chan struct{}), heard: heard}
	c.cmd.Env = os.Environ()
	for k, v := range env {
		c.cmd.Env = append(c.cmd.Env, k+"="+v)
	}
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(c.exited)
		c.listen(out)
		_ = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // also if it is suspended
		<-c.exited
		if t.Failed() {
			t.Logf("%s said %d words, the last of them %+v, and on stderr: %s", name, len(c.said), c.said[max(0, len(c.said)-3):], &c.stderr)
		}
	})
	return c
}

func (c *child) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var w word
		if json.Unmarshal(lines.Bytes(), &w) != nil {
			continue // cut off by its death
		}
		c.mu.Lock()
		c.said = append(c.said, w)
		c.mu.Unlock()
		if c.heard != nil {
			c.heard(w)
		}
	}
}

// tell sends a command, see playClient.
func (c *child) tell(t *testing.T, command string) {
	t.Helper()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		t.Fatalf("telling %s to %s: %v", c.name, command, err)
	}
}

// expect waits for a word, and passes over others before it.
func (c *child) expect(t *testing.T, what string, within time.Duration) (found word) {
	t.Helper()
	locktest.Eventually(t, within, c.name+" says "+what, func() bool {
		ended := c.hasExited() // asked first: all that it said is there then
		c.mu.Lock()
		defer c.mu.Unlock()
		for c.next < len(c.said) {
			found = c.said[c.next]
			c.next++
			if found.What == "failed" && what != "failed" {
				t.Fatalf("%s: %s", c.name, found.How)
			}
			if found.What == what {
				return true
			}
		}
		if ended {
			t.Fatalf("%s has ended without saying %s: %s", c.name, what, &c.stderr)
		}
		return false
	})
	return found
}

// ask tells a command and waits for the word that answers it.
func (c *child) ask(t *testing.T, command, answer string) word {
	t.Helper()
	c.tell(t, command)
	return c.expect(t, answer, soon)
}

// trustedUntil is how long it trusted its lease, the last that was heard of it.
func (c *child) trustedUntil() (until instant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.said {
		if w.What == "granted" || w.What == "renewed" {
			until = w.Until
		}
	}
	return until
}
