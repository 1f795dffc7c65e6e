package disk

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Crash is a loss of power: each sector write and each change of a name that was not
// synced has reached the disk, or not, as rng says. Open files are gone.
func (m *Memory) Crash(rng *rand.Rand) {
	m.CrashKeeping(func(int) bool { return rng.IntN(2) == 0 })
}

// CrashKeeping is Crash where keep tells what has reached the disk. It is asked with 0,
// 1 and so on: first for the changes of names, in their order and up to the first that has
// not; then, file by file in the order of their names, for the sector writes in their
// order. A sector that was written several times may so end as any of them. The last
// questions are for the sizes of files that were never synced: one that has not reached
// the disk is empty.
func (m *Memory) CrashKeeping(keep func(i int) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := 0
	ask := func() bool { asked++; return keep(asked - 1) }
	for _, c := range m.changes {
		if !ask() {
			break
		}
		c.apply(m.durable)
	}
	m.names = maps.Clone(m.durable)
	m.changes = nil
	var unsized []*inode
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		n := m.names[name]
		for _, w := range n.pending {
			if ask() {
				n.durable.write(w.data, w.off)
			}
		}
		n.pending = nil
		if !n.synced {
			unsized = append(unsized, n)
		}
	}
	for _, n := range unsized {
		if !ask() {
			n.durable.resize(0)
		}
		n.synced = true
	}
	for _, n := range m.names {
		n.seen = n.durable.clone()
	}
	m.boot++
}

// Kill is the end of the process: open files are gone, and all that was written is still
// read by the next, and not on the disk for that.
func (m *Memory) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boot++
}

// Unsynced returns how many questions CrashKeeping would ask now, if each is answered
// with true.
func (m *Memory) Unsynced() int {
	c := m.Clone()
	asked := 0
	c.CrashKeeping(func(int) bool { asked++; return true })
	return asked
}

// Clone returns a copy, without the hook, as a file system that has just been mounted
// after Kill.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	copies := map[*inode]*inode{nil: nil}
	copied := func(n *inode) *inode {
		c, ok := copies[n]
		if !ok {
			c = &inode{n.seen.clone(), n.durable.clone(), n.synced, slices.Clone(n.pending)}
			copies[n] = c
		}
		return c
	}
	c := NewMemory()
	c.capacity = m.capacity
	for name, n := range m.names {
		c.names[name] = copied(n)
	}
	for name, n := range m.durable {
		c.durable[name] = copied(n)
	}
	for _, change := range m.changes {
		change.node = copied(change.node)
		c.changes = append(c.changes, change)
	}
	return c
}

// Damage changes bytes of a file on the disk, from an offset on, by xor with the mask. It
// reports whether there is such a file, so long.
func (m *Memory) Damage(name string, off int64, mask ...byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[name]
	if n == nil || off+int64(len(mask)) > n.seen.size {
		return false
	}
	for _, p := range []*pages{&n.seen, &n.durable} {
		was := make([]byte, len(mask))
		p.read(was, off)
		for i := range was {
			was[i] ^= mask[i]
		}
		p.write(was, off)
	}
	return true
}

// Truncate cuts a file on the disk. It reports whether there is such a file.
func (m *Memory) Truncate(name string, size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[name]
	if n == nil || size > n.seen.size {
		return false
	}
	n.seen.resize(size)
	n.durable.resize(size)
	return true
}
