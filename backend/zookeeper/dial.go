package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver/address"
)

const (
	// headStart is how long a server has to accept a connection before the next one is tried
	// beside it.
	headStart = 100 * time.Millisecond

	// firstAnswer is how long a server that has accepted a connection may take to accept a
	// session, where there are others to ask. The next time it has twice as much.
	firstAnswer = 300 * time.Millisecond
)

// dialResult is a connection that a server has accepted, or the reason why it has not.
type dialResult struct {
	addr string
	conn net.Conn
	took time.Duration
	err  error
}

// dialFirst connects to the first server that accepts a connection, TLS included. addrs is in the
// order of preference. A server that is silent, such as a machine that is gone, delays the next
// one by headStart; one that refuses does not delay it. Connections that come too late are
// closed.
//
// Only one of the connections asks for a session. A session that continues would be moved to the
// server that is asked last, and its requests on the other connection be refused.
func dialFirst(ctx context.Context, addrs []string, certificates *address.Certificates, failed func(addr string)) (dialResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialResult, len(addrs))
	underway := 0
	begin := func() {
		addr := addrs[0]
		addrs = addrs[1:]
		underway++
		go func() { results <- connect(ctx, addr, certificates) }()
	}
	begin()
	next := time.NewTicker(headStart)
	defer next.Stop()
	var why []error
	for underway > 0 {
		select {
		case <-next.C:
			if len(addrs) > 0 {
				begin()
			}
		case r := <-results:
			underway--
			if r.err == nil {
				go closeLate(results, underway) // ctx ends them
				return r, nil
			}
			if !errors.Is(ctx.Err(), context.Canceled) { // else nobody wants the connection any more
				failed(r.addr)
			}
			why = append(why, withServerName(r.addr, r.err))
			if len(addrs) > 0 {
				next.Reset(headStart)
				begin()
			}
		}
	}
	return dialResult{}, joinErrors(why)
}

func closeLate(results <-chan dialResult, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			_ = r.conn.Close()
		}
	}
}

func connect(ctx context.Context, addr string, certificates *address.Certificates) dialResult {
	began := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil && certificates != nil {
		c, err = secure(ctx, c, addr, certificates)
	}
	return dialResult{addr, c, time.Since(began), err}
}

func secure(ctx context.Context, c net.Conn, addr string, certificates *address.Certificates) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	s := tls.Client(c, certificates.Config(host))
	if err := s.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		var plain tls.RecordHeaderError
		if errors.Is(err, io.EOF) || errors.As(err, &plain) {
			return nil, fmt.Errorf("TLS: %w; is it a port without TLS?", err)
		}
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return s, nil
}

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
	link    *link
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
