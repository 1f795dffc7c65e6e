package shared

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

// Cluster and Member are the names in a place that is shared.
const (
	Cluster = "shared"
	Member  = "directory"
)

// Place is where processes meet. The methods are safe for concurrent use.
type Place interface {
	// Lock makes the place ours, and tells where the member's files are, or returns a
	// [*dirlock.TakenError] at once.
	Lock(ctx context.Context) (files disk.FS, release func() error, err error)
	// Listen is for who has the lock.
	Listen() (net.Listener, error)
	// Dial connects to who serves.
	Dial(ctx context.Context) (net.Conn, error)
	// Leave is called when the place is not used any more.
	Leave()
}

// socket is the name of the socket in a directory.
const socket = "socket"

// directory is a place on the disk.
type directory struct{ path string }

// Directory returns the place of a directory, which is made if it does not exist.
func Directory(path string) (Place, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	root, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	return &directory{path}, root.Close()
}

// Lock makes the directory anew if it was removed: whoever needs locks goes on then, with a new one.
func (d *directory) Lock(ctx context.Context) (disk.FS, func() error, error) {
	root, err := disk.Open(d.path)
	if err != nil {
		return nil, nil, err
	}
	l, err := dirlock.Take(root, dirlock.Owner{Cluster: Cluster, Member: Member})
	if err != nil {
		return nil, nil, err
	}
	files := l.Files()
	err = l.Settle(ctx)
	if err == nil {
		err = begin(files, 4<<20)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Release())
	}
	return files, l.Release, nil
}

func (d *directory) addr() string { return "unix:" + filepath.Join(d.path, socket) }

func (d *directory) Listen() (net.Listener, error) { return network.System().Listen(d.addr()) }

func (d *directory) Dial(ctx context.Context) (net.Conn, error) {
	return DialDirectory(ctx, d.path)
}

func (d *directory) Leave() {}

// DialDirectory connects to the process that serves a directory.
func DialDirectory(ctx context.Context, path string) (net.Conn, error) {
	d := directory{path}
	conn, err := network.System().Dial(ctx, d.addr())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("nobody serves the directory %s: open it, and it is served: %w", path, err)
	}
	return conn, err
}
