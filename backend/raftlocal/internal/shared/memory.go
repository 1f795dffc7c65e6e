package shared

import (
	"context"
	"net"
	"sync"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

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
func Memory(name string) (Place, error) {
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
