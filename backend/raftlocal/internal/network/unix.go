package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// longestPath is the longest path that the address of a socket can hold, on Linux; elsewhere
// it is a little less, and the system says so.
const longestPath = 107

// listenUnix makes a socket that only its owner can connect to. One that a dead process has
// left is replaced: whoever listens must have made sure that nobody else does.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the socket of a process that has ended cannot be removed: %w", err)
	}
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	// The short name may be somebody else's by the time that it is closed.
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &unixListener{l, path}, nil
}

type unixListener struct {
	*net.UnixListener
	path string
}

// Close removes the socket first: by its path, another process may listen there afterwards.
func (l *unixListener) Close() error {
	_ = os.Remove(l.path) // twice, if it is closed twice
	return l.UnixListener.Close()
}

func (s *system) dialUnix(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.dialer.DialContext(ctx, "unix", short)
}

// shorten returns a name for a path that fits into an address, until done is called.
func shorten(path string) (short string, done func(), err error) {
	if len(path) <= longestPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if _, err := os.Stat(filepath.Dir(short)); err != nil || len(short) > longestPath {
		_ = dir.Close()
		return "", nil, fmt.Errorf("the path %s is too long for a socket: this system allows %d bytes: name a directory with a shorter path", path, longestPath)
	}
	return short, func() { _ = dir.Close() }, nil
}
