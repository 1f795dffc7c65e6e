package disk

const pageSize = 4096

// pages is the content of a file in memory. A page of zeros takes no memory.
type pages struct {
	list []*[pageSize]byte
	size int64
}

func newPages(size int64) pages {
	return pages{make([]*[pageSize]byte, (size+pageSize-1)/pageSize), size}
}

func (p *pages) clone() pages {
	c := newPages(p.size)
	for i, page := range p.list {
		if page != nil {
			copied := *page
			c.list[i] = &copied
		}
	}
	return c
}

// resize cuts, or adds zeros.
func (p *pages) resize(size int64) {
	c := newPages(size)
	copy(c.list, p.list)
	if rest := size % pageSize; rest != 0 {
		if last := c.list[len(c.list)-1]; last != nil {
			clear(last[rest:])
		}
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
		page := p.list[off/pageSize]
		if page == nil && !allZero(b[:n]) {
			page = new([pageSize]byte)
			p.list[off/pageSize] = page
		}
		if page != nil {
			copy(page[at:], b[:n])
		}
		b, off = b[n:], off+n
	}
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
