package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// longestPath is the longest path that the address of a socket can hold, on Linux; elsewhere
// it is a little less, and the system says so.
const longestPath = 107

// NoGroup is no group at all.
const NoGroup = -1

// ListenUnix makes a socket that its owner can connect to and, unless it is [NoGroup], whoever is in
// a group: the kernel looks at that, whatever the umask is. One that a dead process has left is
// replaced: the caller must have made sure that nobody else does.
func ListenUnix(path string, group int) (net.Listener, error) {
	l := &unixListener{path: path, group: group}
	if err := l.make(); err != nil {
		return nil, err
	}
	return l, nil
}

// unixListener is a socket that may be made again.
type unixListener struct {
	path  string
	group int // who may connect besides the owner

	mu     sync.Mutex
	closed bool
	socket *net.UnixListener // the one in use
	found  fs.FileInfo       // of it: its inode is not given to another while it is in use
}

// make makes the socket and uses it from now on. mu is held, or nobody has the listener yet.
func (l *unixListener) make() error {
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the socket of a process that has ended cannot be removed: %w", err)
	}
	short, done, err := shorten(l.path)
	if err != nil {
		return err
	}
	defer done()
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listening on %s: %w", l.path, err)
	}
	// The short name may be somebody else's by the time that it is closed.
	socket.SetUnlinkOnClose(false)
	err = l.admit()
	if err == nil {
		l.found, err = os.Lstat(l.path)
	}
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	if l.socket != nil {
		_ = l.socket.Close() // Accept goes on with the new one
	}
	l.socket = socket
	return nil
}

// admit lets those in who may connect. The group comes before its right, so that no other group has it.
func (l *unixListener) admit() error {
	if l.group == NoGroup {
		return os.Chmod(l.path, 0o600)
	}
	if err := os.Lchown(l.path, -1, l.group); err != nil {
		return fmt.Errorf("giving the socket to the group: %w", err)
	}
	return os.Chmod(l.path, 0o660)
}

// Mend makes the socket again if it was removed, or replaced, and reports that. Connections that
// were accepted go on. The caller must be sure that the path of the socket is its own.
func (l *unixListener) Mend() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.there() {
		return false, nil
	}
	if err := l.make(); err != nil {
		return false, err
	}
	return true, nil
}

// there reports whether the socket is at its path, as far as can be seen.
func (l *unixListener) there() bool {
	found, err := os.Lstat(l.path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return os.SameFile(l.found, found)
}

func (l *unixListener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		socket := l.socket
		l.mu.Unlock()
		conn, err := socket.Accept()
		if err == nil || !errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		l.mu.Lock()
		again := l.socket != socket && !l.closed
		l.mu.Unlock()
		if !again {
			return nil, err
		}
	}
}

// Close removes the socket first, unless it is another's: by its path, another process may listen
// there afterwards.
func (l *unixListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && l.there() {
		_ = os.Remove(l.path)
	}
	l.closed = true
	return l.socket.Close()
}

func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

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
