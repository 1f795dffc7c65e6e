package disk

import (
	"bytes"
	"slices"
)

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
