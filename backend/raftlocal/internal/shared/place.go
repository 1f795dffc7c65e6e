package shared

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"

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
	// Guest reports whether it belongs to others, and is never ours.
	Guest() bool
	// Leave is called when the place is not used any more.
	Leave()
}

// socket is the name of the socket in a directory.
const socket = "socket"

// directory is a place on the disk.
type directory struct {
	path  string
	group int // whose users are let in as guests
	guest atomic.Pointer[GuestError]
	taken atomic.Pointer[dirlock.TakenError]
}

// Directory returns the place of a directory, which is made if it does not exist. If group is not
// network.NoGroup, processes of its users take part, too: see [GuestError].
func Directory(path string, group int) (Place, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, group: group}
	root, err := d.open()
	var guest *GuestError
	switch {
	case errors.As(err, &guest):
		return d, nil
	case err != nil:
		return nil, err
	}
	return d, root.Close()
}

// Lock makes the directory anew if it was removed: whoever needs locks goes on then, with a new one.
func (d *directory) Lock(ctx context.Context) (disk.FS, func() error, error) {
	root, err := d.open()
	if err != nil {
		return nil, nil, err
	}
	l, err := dirlock.Take(root, dirlock.Owner{Cluster: Cluster, Member: Member})
	var taken *dirlock.TakenError
	if errors.As(err, &taken) {
		d.taken.Store(taken)
	}
	if err != nil {
		return nil, nil, err
	}
	d.taken.Store(nil)
	files := l.Files()
	if err = d.admit(root); err == nil {
		err = l.Settle(ctx)
	}
	if err == nil {
		err = begin(files, 4<<20)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Release())
	}
	return files, l.Release, nil
}

func (d *directory) Listen() (net.Listener, error) {
	return network.ListenUnix(filepath.Join(d.path, socket), d.group)
}

// Dial says of a directory that nobody serves who should.
func (d *directory) Dial(ctx context.Context) (net.Conn, error) {
	guest, taken := d.guest.Load(), d.taken.Load()
	if guest != nil {
		if err := d.meant(guest); err != nil {
			return nil, err
		}
	}
	conn, err := dial(ctx, filepath.Join(d.path, socket))
	switch {
	case !unserved(err):
		return conn, err
	case guest != nil:
		return nil, &GuestError{Dir: guest.Dir, Owner: guest.Owner, err: err}
	case taken != nil:
		return nil, fmt.Errorf("a process has locked the directory %s, and does not serve it: it begins or ends, it hangs, or it is another program: see which with lslocks, and end it: %w", d.path, err)
	}
	return nil, network.NewAbsent("nobody serves the directory "+d.path, err)
}

func (d *directory) Guest() bool { return d.guest.Load() != nil }

func (d *directory) Leave() {}
