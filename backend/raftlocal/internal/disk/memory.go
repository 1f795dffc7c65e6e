package disk

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Memory is a directory in memory that knows what a crash would leave of it: the sectors
// written since the last Sync of their file, and the names changed since the last SyncDir,
// are on the disk or not. It is deterministic, and safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	names    map[string]*inode // as they are seen
	durable  map[string]*inode // as they are on the disk
	changes  []change          // what makes durable names out, in order
	boot     int               // rises with each crash: files opened before are gone
	hook     Hook
	spent    time.Duration
	capacity int64
	lost     error
}

// change is a change of names that is not durable.
type change struct {
	op       Op
	from, to string
	node     *inode // of OpCreate
}

// NewMemory returns an empty directory.
func NewMemory() *Memory {
	return &Memory{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// Hook sets what decides how calls go, in place of the hook before; nil for none. It is
// called with a lock held, so it must not use the Memory.
func (m *Memory) Hook(h Hook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = h
}

// Limit sets how many bytes all files together may take; 0 for no limit. Create fails
// with ENOSPC beyond.
func (m *Memory) Limit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Lose makes Check return an error.
func (m *Memory) Lose(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = err
}

// Check says what Lose was told, and otherwise wants the names.
func (m *Memory) Check(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		if m.names[name] == nil && m.lost == nil {
			return lost("the file %s was removed", name)
		}
	}
	return m.lost
}

// Spent returns how long the calls since it was last asked have taken, as the hook says.
func (m *Memory) Spent() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	spent := m.spent
	m.spent = 0
	return spent
}

// begin asks the hook. The lock is held, and released if the hook panics, by the caller's
// deferred Unlock.
func (m *Memory) begin(op Op, name string, bytes int64) error {
	if m.hook == nil {
		return nil
	}
	took, err := m.hook(Call{op, name, bytes})
	m.spent += took
	if err != nil {
		return &fs.PathError{Op: op.String(), Path: name, Err: err}
	}
	return nil
}

func (m *Memory) Create(name string, size int64) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(OpCreate, name, size); err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if m.capacity > 0 && m.used()+size > m.capacity {
		return nil, Scarce(&fs.PathError{Op: "create", Path: name, Err: syscall.ENOSPC})
	}
	n := &inode{seen: newPages(size), durable: newPages(size)}
	m.names[name] = n
	m.changes = append(m.changes, change{op: OpCreate, to: name, node: n})
	return &memoryFile{m, n, name, m.boot, false}, nil
}

func (m *Memory) used() (bytes int64) {
	for _, n := range m.names {
		bytes += n.seen.size
	}
	return bytes
}

func (m *Memory) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(OpOpen, name, 0); err != nil {
		return nil, err
	}
	n := m.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{m, n, name, m.boot, false}, nil
}

func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(OpRename, from, 0); err != nil {
		return err
	}
	return m.change(change{op: OpRename, from: from, to: to})
}

func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(OpRemove, name, 0); err != nil {
		return err
	}
	return m.change(change{op: OpRemove, from: name})
}

func (m *Memory) change(c change) error {
	if m.names[c.from] == nil {
		return &fs.PathError{Op: c.op.String(), Path: c.from, Err: fs.ErrNotExist}
	}
	c.apply(m.names)
	m.changes = append(m.changes, c)
	return nil
}

func (c change) apply(names map[string]*inode) {
	switch c.op {
	case OpCreate:
		names[c.to] = c.node
	case OpRename:
		names[c.to] = names[c.from]
		delete(names, c.from)
	case OpRemove:
		delete(names, c.from)
	}
}

func (m *Memory) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(OpList, "", 0); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(m.names)), nil
}

func (m *Memory) SyncDir() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(OpSyncDir, "", 0); err != nil {
		return err
	}
	m.durable = maps.Clone(m.names)
	m.changes = nil
	return nil
}
