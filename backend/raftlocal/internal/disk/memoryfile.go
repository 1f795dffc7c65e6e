package disk

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// sectorSize is what a disk writes as a whole, or not at all.
const sectorSize = 512

// inode is a file, whatever its names.
type inode struct {
	seen    pages // what is read
	durable pages // what is on the disk for sure
	synced  bool  // its size is on the disk
	pending []write
}

// write is a part of a sector that has been written, and not synced.
type write struct {
	off  int64
	data []byte
}

// memoryFile is an open file.
type memoryFile struct {
	m      *Memory
	node   *inode
	name   string
	boot   int
	closed bool
}

// begin asks the hook, and refuses what comes after Close or from before a crash.
func (f *memoryFile) begin(op Op, bytes int64) error {
	if f.closed || f.boot != f.m.boot {
		return &fs.PathError{Op: op.String(), Path: f.name, Err: fs.ErrClosed}
	}
	return f.m.begin(op, f.name, bytes)
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin(OpRead, int64(len(p))); err != nil {
		return 0, err
	}
	n := max(0, min(int64(len(p)), f.node.seen.size-off))
	f.node.seen.read(p[:n], off)
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off < 0 || off+int64(len(p)) > f.node.seen.size {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fmt.Errorf("%d bytes at %d in a file of %d", len(p), off, f.node.seen.size)}
	}
	err := f.begin(OpWrite, int64(len(p)))
	if err != nil {
		if f.closed || f.boot != f.m.boot {
			return 0, err
		}
		p = p[:wholeSectors(off, len(p)/2)]
	}
	f.node.write(p, off)
	return len(p), err
}

// wholeSectors returns how many of n bytes from an offset on are in sectors that end there:
// a system stops a write between two pages, and not inside a sector.
func wholeSectors(off int64, n int) int64 {
	return max(0, (off+int64(n))/sectorSize*sectorSize-off)
}

// write changes what is read, and notes it sector by sector.
func (n *inode) write(p []byte, off int64) {
	n.seen.write(p, off)
	for len(p) > 0 {
		part := min(int64(len(p)), sectorSize-off%sectorSize)
		n.pending = append(n.pending, write{off, slices.Clone(p[:part])})
		p, off = p[part:], off+part
	}
}

func (f *memoryFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin(OpSize, 0); err != nil {
		return 0, err
	}
	return f.node.seen.size, nil
}

func (f *memoryFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n := f.node
	err := f.begin(OpSync, 0)
	if f.closed || f.boot != f.m.boot {
		return err
	}
	if err == nil {
		for _, w := range n.pending {
			n.durable.write(w.data, w.off)
		}
		n.synced = true
	}
	n.pending = nil
	return err
}

func (f *memoryFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}
