package process_test

import (
	"syscall"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

func (c *child) hasExited() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// kill ends it with SIGKILL, and returns when it is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
}

// suspend stops it as SIGSTOP does, and returns when all its threads have.
func (c *child) suspend() error { return servers.Suspend(c.cmd.Process.Pid) }

func (c *child) resume() error { return c.cmd.Process.Signal(syscall.SIGCONT) }
