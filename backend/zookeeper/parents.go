package zookeeper

import (
	"hash/maphash"
	"sync"
)

// parentsMost is how many are remembered, at 8 bytes and some.
const parentsMost = 1 << 14

// parents remembers the locks whose nodes were there. A create under any other may well
// be refused, and with it all that go together; so it goes by itself. What is remembered
// wrongly, since the server has swept the node or two locks have one hash, costs no more
// than that.
type parents struct {
	seed maphash.Seed

	mu    sync.Mutex
	known map[uint64]struct{}
}

func newParents() *parents {
	return &parents{seed: maphash.MakeSeed(), known: make(map[uint64]struct{})}
}

func (p *parents) has(path string) bool {
	h := maphash.String(p.seed, path)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.known[h]
	return ok
}

func (p *parents) add(path string) {
	h := maphash.String(p.seed, path)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.known[h]; !ok && len(p.known) >= parentsMost {
		clear(p.known) // those in use come back
	}
	p.known[h] = struct{}{}
}
