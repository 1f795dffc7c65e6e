package servers

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdog is a process that outlives a crash of the tests, and then kills their
// server and removes its directory. It learns of our end, however it comes, from
// the pipe that we hold open.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// Each line names the process to kill in the end; an empty one, none.
const watchScript = `while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -9 "$pid"
rm -rf "$1"`

func newWatchdog(dir string) (*watchdog, error) {
	w := &watchdog{cmd: exec.Command("sh", "-c", watchScript, "fencelock-watchdog", dir)}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if w.pipe, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return w, w.cmd.Start()
}

// over names the process to watch over; 0 is none.
func (w *watchdog) over(pid int) error {
	line := "\n"
	if pid != 0 {
		line = fmt.Sprintf("%d\n", pid)
	}
	_, err := io.WriteString(w.pipe, line)
	return err
}

// end makes it do its duty now.
func (w *watchdog) end() error {
	_ = w.pipe.Close()
	return w.cmd.Wait()
}
