package shared

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

// DialSocket connects to the process that serves a directory, by the path of its socket, and says what
// is wrong if there is none.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	conn, err := dial(ctx, path)
	if err == nil {
		return conn, nil
	}
	found, stat := os.Stat(path)
	isDir := stat == nil && found.IsDir()
	switch {
	case isDir: // a process that may not write to it is told that this is not permitted
		return nil, network.NewMismatch(fmt.Sprintf("%s is a directory: name the socket in it, %s", path, filepath.Join(path, socket)), syscall.EISDIR)
	case !unserved(err):
		return nil, err
	case stat != nil:
		return nil, network.NewAbsent(fmt.Sprintf("there is no socket %s: no process serves its directory, or the path is wrong", path), err)
	case found.Mode().Type() != fs.ModeSocket:
		return nil, network.NewMismatch(fmt.Sprintf("%s is no socket: name the file %q in a directory that is served", path, socket), err)
	}
	return nil, network.NewAbsent(fmt.Sprintf("nobody listens at the socket %s: no process serves its directory; or, in a container, the socket was mounted and not its directory, and there is another one by now", path), err)
}

// DialDirectory connects to the process that serves a directory.
func DialDirectory(ctx context.Context, path string) (net.Conn, error) {
	conn, err := dial(ctx, filepath.Join(path, socket))
	if unserved(err) {
		return nil, network.NewAbsent(fmt.Sprintf("nobody serves the directory %s: open it, and it is served", path), err)
	}
	return conn, err
}

// dial connects to a socket, and says why it may not.
func dial(ctx context.Context, path string) (net.Conn, error) {
	conn, err := network.System().Dial(ctx, "unix:"+path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, denied(path, err)
	}
	return conn, err
}

// unserved reports whether an error says that nobody listens.
func unserved(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// denied finds what keeps this process from a path, and says what to do.
func denied(path string, err error) error {
	closed, found := path, fs.FileInfo(nil)
	for {
		var stat error
		if found, stat = os.Stat(closed); stat == nil {
			break
		}
		above := filepath.Dir(closed)
		if above == closed {
			return err
		}
		closed = above
	}
	uid, gid, ok := dirlock.OwnerOf(found)
	if !ok {
		return err
	}
	us, mode := dirlock.User(os.Geteuid()), found.Mode()
	may := fs.FileMode(0o010) // to pass through a directory
	if !found.IsDir() {
		may = 0o020 // to connect
	}
	var cure string
	switch {
	case mode&may != 0 && !among(gid):
		cure = fmt.Sprintf("%s is for the group %s, and the user %s of this process is not in it: add the user, with usermod -aG, and start its processes again", closed, dirlock.Group(gid), us)
	case mode&may != 0:
		cure = fmt.Sprintf("%s is for the group %s, in which the user %s of this process is, and yet the system denies it: look at AppArmor, SELinux and the mount", closed, dirlock.Group(gid), us)
	case !found.IsDir() || closed == filepath.Dir(path) && filepath.Base(path) == socket:
		cure = fmt.Sprintf("%s is for the user %s alone (its mode is %04o), and this process runs as %s: let those of that user serve it with group= in their URL", closed, dirlock.User(uid), mode.Perm(), us)
	default:
		cure = fmt.Sprintf("%s lets the user %s of this process not through (it belongs to %s, with the mode %04o): open it with chmod, or share a directory elsewhere", closed, us, dirlock.User(uid), mode.Perm())
	}
	return network.NewMismatch("permission denied: "+cure, err)
}

// among reports whether this process is in a group.
func among(gid int) bool {
	groups, err := os.Getgroups()
	return gid == os.Getegid() || err == nil && slices.Contains(groups, gid)
}

// Dial connects to the process that serves the location, and takes over if nobody does. The address is
// not looked at: there is one.
func (s *Share) Dial(ctx context.Context, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	var said error // by the attempt before
	for {
		srv, changed, why := s.standing()
		conn, err := s.dial(ctx, srv)
		if err == nil {
			return conn, nil
		}
		// The time may be over in the middle of this one, which tells nothing then. The system knows that a moment
		// before ctx does.
		if end, _ := ctx.Deadline(); said != nil && !time.Now().Before(end) {
			err = said
		}
		said = err
		s.lookNow()
		t := time.NewTimer(dialAgain)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, errors.Join(why, err)
		case <-s.ctx.Done():
			t.Stop()
			return nil, net.ErrClosed
		}
		t.Stop()
	}
}

func (s *Share) dial(ctx context.Context, srv *server.Server) (net.Conn, error) {
	if srv != nil {
		return srv.Dial(ctx)
	}
	conn, err := s.location.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &watched{Conn: conn, ended: s.lookNow}, nil
}

// lookNow lets the share look whether the place is free.
func (s *Share) lookNow() {
	select {
	case s.look <- struct{}{}:
	default: // it will
	}
}

// watched is a connection that tells when it has ended: then the process at its other end may
// have, too.
type watched struct {
	net.Conn
	ended func()
	once  sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.once.Do(w.ended)
	}
	return n, err
}
