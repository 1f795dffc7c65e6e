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
	// Lock makes the place ours, or returns a [*dirlock.TakenError] at once.
	Lock() (release func() error, err error)
	// Files is where the member's files are. Only who has the lock may use them, and Listen.
	Files() (disk.FS, error)
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
	if _, err := disk.Dir(path); err != nil {
		return nil, err
	}
	return &directory{path}, nil
}

func (d *directory) Lock() (func() error, error) {
	l, err := dirlock.Take(d.path, dirlock.Owner{Cluster: Cluster, Member: Member})
	if err != nil {
		return nil, err
	}
	return l.Release, nil
}

func (d *directory) Files() (disk.FS, error) {
	files, err := disk.Dir(d.path)
	if err != nil {
		return nil, err
	}
	return begun(files, 4<<20)
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
