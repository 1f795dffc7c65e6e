package disk

import (
	"bytes"
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

const pageSize = 4096

// pages is the content of a file in memory. A page of zeros takes no memory, and copies
// share a page until one of them changes it.
type pages struct {
	list []*[pageSize]byte
	own  []bool // no copy has it
	size int64
}

func newPages(size int64) pages {
	n := (size + pageSize - 1) / pageSize
	return pages{make([]*[pageSize]byte, n), make([]bool, n), size}
}

func (p *pages) clone() pages {
	clear(p.own)
	return pages{slices.Clone(p.list), make([]bool, len(p.own)), p.size}
}

// change returns a page to change.
func (p *pages) change(i int64) *[pageSize]byte {
	if !p.own[i] {
		page := new([pageSize]byte)
		if p.list[i] != nil {
			*page = *p.list[i]
		}
		p.list[i], p.own[i] = page, true
	}
	return p.list[i]
}

// resize cuts, or adds zeros.
func (p *pages) resize(size int64) {
	c := newPages(size)
	copy(c.list, p.list)
	copy(c.own, p.own)
	if rest := size % pageSize; rest != 0 && c.list[len(c.list)-1] != nil {
		clear(c.change(int64(len(c.list) - 1))[rest:])
	}
	*p = c
}

// read fills b from an offset on; all of it is inside.
func (p *pages) read(b []byte, off int64) {
	for len(b) > 0 {
		at := off % pageSize
		n := min(int64(len(b)), pageSize-at)
		if page := p.list[off/pageSize]; page != nil {
			copy(b[:n], page[at:])
		} else {
			clear(b[:n])
		}
		b, off = b[n:], off+n
	}
}

// write puts b at an offset; all of it is inside.
func (p *pages) write(b []byte, off int64) {
	for len(b) > 0 {
		at := off % pageSize
		n := min(int64(len(b)), pageSize-at)
		if i := off / pageSize; p.list[i] != nil || !bytes.Equal(b[:n], zeroPage[:n]) {
			copy(p.change(i)[at:], b[:n])
		}
		b, off = b[n:], off+n
	}
}

var zeroPage [pageSize]byte
