package session

import (
	"slices"
	"sync"
	"time"
)

// serverHistory is what a client knows of its servers, for all of its sessions: which of them
// answered when they were last asked for a session, and which did not. So a server that is gone
// delays the first session, and not each.
type serverHistory struct {
	mu       sync.Mutex
	answered map[string]bool
	failed   map[string]time.Time
}

// demotedFor is how long a server that did not answer comes after all others.
const demotedFor = 30 * time.Second

func newServerHistory() *serverHistory {
	return &serverHistory{answered: make(map[string]bool), failed: make(map[string]time.Time)}
}

func (s *serverHistory) note(addr string, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answered {
		s.answered[addr] = true
		delete(s.failed, addr)
	} else {
		delete(s.answered, addr)
		s.failed[addr] = time.Now()
	}
}

// broke notes the end of a connection on which a session had been accepted. The server is then as
// good as one that was never asked.
func (s *serverHistory) broke(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.answered, addr)
}

// sort puts those first that answered last time, and those last that did not.
func (s *serverHistory) sort(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rank := func(addr string) int {
		switch at, failed := s.failed[addr]; {
		case s.answered[addr]:
			return 0
		case failed && time.Since(at) < demotedFor:
			return 2
		default:
			return 1
		}
	}
	slices.SortStableFunc(addrs, func(a, b string) int { return rank(a) - rank(b) })
}

// hosts chooses the servers of one session. It is go-zookeeper's HostProvider in form only: the
// dialer asks it for an order, and tries several. The dialer looks names up for each connection
// again. go-zookeeper's own provider looks them up once, and with a single server waits a second
// before it connects again.
type hosts struct {
	link    *Link
	history *serverHistory

	mu          sync.Mutex
	list        []string
	next        int
	triedInVain map[string]bool // tried in vain since the last success, or in this round
	slow        map[string]int  // how often a server was too slow for a shortened time, since the last success
	vainRounds  int             // how often all were tried in vain since the last success
}

func (h *hosts) Init(servers []string) error {
	h.list, h.triedInVain, h.slow = servers, make(map[string]bool), make(map[string]int)
	return nil
}

func (h *hosts) Len() int { return len(h.list) }

// Next begins a round of dialing. If pause is true, go-zookeeper first fails what has not been
// sent, and waits for a second, or until it is closed. It is true each time that all servers were
// tried in vain, and always once no connection is wanted any more.
func (h *hosts) Next() (server string, pause bool) {
	refused := h.link.isRefused() // first: elsewhere the link's mutex is taken before ours
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.list[h.next%len(h.list)]
	h.next++
	if pause = len(h.triedInVain) == len(h.list); pause {
		clear(h.triedInVain)
	}
	return server, pause || refused
}

// order is that in which servers are tried now: those that were tried in vain in this round come
// last, and before them those that were not given much time.
func (h *hosts) order() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	begin := max(h.next-1, 0) % len(h.list)
	addrs := slices.Concat(h.list[begin:], h.list[:begin])
	h.history.sort(addrs)
	slices.SortStableFunc(addrs, func(a, b string) int {
		if h.triedInVain[a] != h.triedInVain[b] {
			if h.triedInVain[b] {
				return -1
			}
			return 1
		}
		return h.slow[a] - h.slow[b]
	})
	return addrs
}

// failed notes that a server gave us no session.
func (h *hosts) failed(addr string) {
	h.history.note(addr, false)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.triedInVain[addr] = true; len(h.triedInVain) == len(h.list) {
		h.vainRounds++
	}
}

// wasSlow notes that a server gave us no session in less than all the time that it might take.
// That says little, on a busy machine for one: the server is asked again, with more time, before
// all are given up.
func (h *hosts) wasSlow(addr string) {
	h.history.note(addr, false)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slow[addr]++
}

// others reports whether any other server has not been tried in vain in this round, and how often
// this one was slow.
func (h *hosts) others(addr string) (left bool, slow int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.list {
		left = left || other != addr && !h.triedInVain[other]
	}
	return left, h.slow[addr]
}

// exhausted reports whether all servers were tried in vain since the last success.
func (h *hosts) exhausted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vainRounds > 0
}

func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.triedInVain)
	clear(h.slow)
	h.vainRounds = 0
}
