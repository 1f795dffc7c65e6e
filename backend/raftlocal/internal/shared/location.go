package shared

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
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

// Location is where processes meet. The methods are safe for concurrent use.
type Location interface {
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
func Directory(path string, group int) (Location, error) {
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

// Lock makes the directory again if it was removed: processes that need locks go on with the new one.
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

// memory is a place in the memory of this process.
type memory struct {
	name  string
	users int // guarded by memories
	files *disk.Memory
	net   network.Memory

	mu     sync.Mutex
	locked bool
}

var memories = struct {
	sync.Mutex
	byName map[string]*memory
}{byName: map[string]*memory{}}

// Memory returns the place of a name in this process's memory. It is there for as long as
// somebody uses it.
func Memory(name string) (Location, error) {
	memories.Lock()
	defer memories.Unlock()
	m := memories.byName[name]
	if m == nil {
		m = &memory{name: name, files: disk.NewMemory()}
		memories.byName[name] = m
	}
	m.users++
	return m, nil
}

// Guest is false: the memory of a process is its own.
func (m *memory) Guest() bool { return false }

func (m *memory) Leave() {
	memories.Lock()
	defer memories.Unlock()
	if m.users--; m.users == 0 {
		delete(memories.byName, m.name)
	}
}

func (m *memory) Lock(context.Context) (disk.FS, func() error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, nil, &dirlock.TakenError{Dir: m.name}
	}
	if err := begin(m.files, 256<<10); err != nil {
		return nil, nil, err
	}
	m.locked = true
	return m.files, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.locked = false
		return nil
	}, nil
}

func (m *memory) Listen() (net.Listener, error) { return m.net.Listen(socket) }

func (m *memory) Dial(ctx context.Context) (net.Conn, error) { return m.net.Dial(ctx, socket) }
