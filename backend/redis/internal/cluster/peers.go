package cluster

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// peers are the nodes of a Cluster by their addresses: those that are in use. Each has connections of its own.
type peers struct {
	create  func(addr string) *node.Node
	running sync.WaitGroup // what begin has begun, and the ends of peers

	mu     sync.Mutex
	byAddr map[string]*peer
	doubts map[string]time.Time // when an address was last in doubt, if it has told nothing since
	closed bool
}

// peer is a node of the Cluster, at one address.
type peer struct {
	node  *node.Node
	users sync.WaitGroup // it grows only while the peer is in byAddr
	used  time.Time      // when that was last
}

// use returns the peer at an address, which is made if need be. Call done when it is not used any more. It is nil
// once close has begun.
func (s *peers) use(addr string) (p *peer, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	p = s.byAddr[addr]
	if p == nil {
		p = &peer{node: s.create(addr)}
		s.byAddr[addr] = p
	}
	p.used = time.Now()
	p.users.Add(1)
	return p, p.users.Done
}

// retire removes the peer at an address. Requests under way end at once: they have no answer.
func (s *peers) retire(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retireLocked(addr)
}

func (s *peers) retireLocked(addr string) {
	p := s.byAddr[addr]
	if p == nil {
		return
	}
	delete(s.byAddr, addr)
	s.running.Go(func() {
		p.node.Moved("")
		p.users.Wait() // nobody new comes, since byAddr does not have it
		p.node.Close()
	})
}

// unusedAfter is how long a peer is kept that is no master, as far as the map says: a seed, a replica that was asked, or
// where a redirection has led to.
const unusedAfter = time.Minute

// tidy retires peers that are no masters, and have not been used for some time.
func (s *peers) tidy(m *slotMap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for addr, p := range s.byAddr {
		if _, is := m.at(addr); !is && time.Since(p.used) > unusedAfter {
			s.retireLocked(addr)
		}
	}
}

// doubtFor is how long a node in doubt is asked for nothing that others can tell.
const doubtFor = 2 * time.Second

func (s *peers) doubt(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts[addr] = time.Now()
}

// answered notes that the node at an address has told something.
func (s *peers) answered(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.doubts, addr)
}

// shuffle puts addresses into an order by chance, those that are in doubt last.
func (s *peers) shuffle(addrs []string) []string {
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(addrs, func(a, b string) int { return s.rankLocked(a) - s.rankLocked(b) })
	return addrs
}

func (s *peers) rankLocked(addr string) int {
	if time.Since(s.doubts[addr]) < doubtFor {
		return 1
	}
	return 0
}

// begin calls f on a goroutine for which close waits; it returns false once close has begun.
func (s *peers) begin(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(f)
	return true
}

// close retires all, and waits.
func (s *peers) close() {
	s.mu.Lock()
	s.closed = true
	for addr := range s.byAddr {
		s.retireLocked(addr)
	}
	s.mu.Unlock()
	s.running.Wait()
}
