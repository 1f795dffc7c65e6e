package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
)

// process is a server without Docker, on the loopback interface, with its files in
// a directory of its own.
type process struct {
	program string
	args    []string
	env     []string
	dir     string
	watch   *watchdog

	cmd    *exec.Cmd
	exited chan struct{} // closed when it has
}

// prepare writes the files and sets the watchdog on the directory.
func (m *process) prepare(files map[string][]byte) (err error) {
	for name, content := range files {
		path := filepath.Join(m.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	m.watch, err = newWatchdog(m.dir)
	return err
}

func (m *process) start(context.Context) error {
	out, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	m.cmd = exec.Command(m.program, m.args...)
	m.cmd.Dir, m.cmd.Env = m.dir, m.env
	m.cmd.Stdout, m.cmd.Stderr = out, out
	// Ctrl-C in a terminal is for the tests, which end the server themselves.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	exited, cmd := make(chan struct{}), m.cmd
	m.exited = exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return m.watch.over(cmd.Process.Pid)
}

func (m *process) logFile() string { return filepath.Join(m.dir, "server.log") }

// end sends a signal and waits until the process has ended.
func (m *process) end(ctx context.Context, signal syscall.Signal) error {
	if !m.running(ctx) {
		return errEnded
	}
	if err := m.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-m.exited:
		return m.watch.over(0)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *process) kill(ctx context.Context) error { return m.end(ctx, syscall.SIGKILL) }
func (m *process) stop(ctx context.Context) error { return m.end(ctx, syscall.SIGTERM) }

func (m *process) pause(context.Context) error { return Suspend(m.cmd.Process.Pid) }

// Suspend stops a child of this process, and waits until all its threads have stopped: the
// signal alone comes back before. Should the child end instead, the wait is over as well, and which of
// the two that wait for its end is told does not matter.
func Suspend(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case !status.Stopped():
			return errEnded
		default:
			return nil
		}
	}
}

func (m *process) unpause(context.Context) error { return m.cmd.Process.Signal(syscall.SIGCONT) }

func (m *process) running(context.Context) bool {
	if m.cmd == nil {
		return false
	}
	select {
	case <-m.exited:
		return false
	default:
		return true
	}
}

func (m *process) remove(ctx context.Context) error {
	if m.running(ctx) {
		if err := m.kill(ctx); err != nil {
			return err
		}
	}
	if m.watch == nil {
		return os.RemoveAll(m.dir)
	}
	return m.watch.end()
}

func (m *process) log(context.Context) string {
	all, err := os.ReadFile(m.logFile())
	if err != nil {
		return err.Error()
	}
	return lastLines(all)
}

// lastLines are enough to see why a server has ended.
func lastLines(all []byte) string {
	lines := bytes.Split(bytes.TrimSpace(all), []byte("\n"))
	if n := len(lines) - 30; n > 0 {
		lines = lines[n:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}

// versionOption finds a version in what redis-server ("v=7.0.15"), etcd ("etcd
// Version: 3.7.3") and ZooKeeper ("ZooKeeper, version 3.9.3") say.
var versionOption = regexp.MustCompile(`(?:v=|[vV]ersion:? )([0-9]+(?:\.[0-9]+)+)`)

// findProgram looks for the program of a kind. One that a variable names is taken
// as it is; one that PATH happens to have must be of the right release.
func findProgram(k Kind) (path string, err error) {
	if wanted := os.Getenv(k.env("PROGRAM")); wanted != "" {
		return exec.LookPath(wanted)
	}
	path, err = fitting(k, k.program)
	if err == nil || k.another == nil {
		return path, err
	}
	path, instead := k.another(k)
	if instead == nil {
		path, instead = fitting(k, path)
	}
	if instead != nil {
		return "", fmt.Errorf("%w; %w", err, instead)
	}
	return path, nil
}

// fitting returns the path of a program of the right release.
func fitting(k Kind, program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not on PATH", program)
	}
	version, err := programVersion(k, path)
	if err == nil && !k.fits(version) {
		err = fmt.Errorf("%s is of version %s, which is not %s", path, version, k.release)
	}
	return path, err
}

func programVersion(k Kind, path string) (string, error) {
	out, err := exec.Command(path, k.versionArgs...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", path, k.versionArgs[0], err)
	}
	return parseVersion(string(out))
}

func parseVersion(out string) (string, error) {
	m := versionOption.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("no version in %q", out)
	}
	return m[1], nil
}
