package process_test

import (
	"errors"
	"fmt"
	"syscall"
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

// suspend stops it as SIGSTOP does, and returns when all its threads have: the signal
// alone comes back before.
func (c *child) suspend() error {
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(c.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case !status.Stopped():
			return fmt.Errorf("%s has ended: %v", c.name, status)
		default:
			return nil
		}
	}
}

func (c *child) resume() error { return c.cmd.Process.Signal(syscall.SIGCONT) }
