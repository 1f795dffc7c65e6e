package proxy

import (
	"context"
	"errors"
	"net"
	"runtime/pprof"
	"sync"
)

// Ways are those of one client to all servers, also to such as other servers tell it of: those that follow a fail-over, the
// nodes of a Cluster. Each address has a proxy of its own, made when it is first dialled. The client has [Ways.Dial] in place
// of its dialler, so that what it reads, and shows, are the servers' own addresses.
//
// A fault on all ways is on those, too, that are made later.
type Ways struct {
	protocol Protocol

	mu     sync.Mutex
	byAddr map[string]*Proxy
	fault  func(*Proxy) // that lasts on all; nil if there is none
	armed  []*Fault
	closed bool
}

// NewWays makes them. The protocol is as in [New].
func NewWays(protocol Protocol) *Ways {
	return &Ways{protocol: protocol, byAddr: map[string]*Proxy{}}
}

// Dial connects to a server by the proxy before it, as a net.Dialer would.
func (w *Ways) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p, err := w.to(addr)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, p.Addr())
}

// To is the proxy before the server at addr, also if nobody has dialled that yet. It panics when there is no port.
func (w *Ways) To(addr string) *Proxy {
	p, err := w.to(addr)
	if err != nil {
		panic(err)
	}
	return p
}

func (w *Ways) to(addr string) (*Proxy, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errors.New("proxy: the ways are closed")
	}
	if p := w.byAddr[addr]; p != nil {
		return p, nil
	}
	var p *Proxy
	var err error
	unlabelled(func() { p, err = New(addr, w.protocol) })
	if err != nil {
		return nil, err
	}
	w.byAddr[addr] = p
	if w.fault != nil {
		w.fault(p)
	}
	for _, f := range w.armed {
		p.enlist(f)
	}
	return p, nil
}

// unlabelled runs f on a goroutine without labels, which those that it starts inherit: the suite finds by them what a backend
// leaks, and a backend dials.
func unlabelled(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(context.Background())
		f()
	}()
	<-done
}

// Each does something to each proxy that there is.
func (w *Ways) Each(do func(addr string, p *Proxy)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for addr, p := range w.byAddr {
		do(addr, p)
	}
}

// Blackhole cuts the client off from all servers, and nobody is told.
func (w *Ways) Blackhole() { w.last((*Proxy).Blackhole) }

// Refuse turns its new connections away, everywhere.
func (w *Ways) Refuse() { w.last((*Proxy).Refuse) }

func (w *Ways) last(fault func(*Proxy)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
	for _, p := range w.byAddr {
		fault(p)
	}
}

// Reset cuts all its connections.
func (w *Ways) Reset() { w.Each(func(_ string, p *Proxy) { p.Reset() }) }

// Heal ends all faults.
func (w *Ways) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.armed = nil, nil
	for _, p := range w.byAddr {
		p.Heal()
	}
}

// Close closes all proxies. It may be called twice.
func (w *Ways) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.Each(func(_ string, p *Proxy) { p.Close() })
}

// LoseReplyTo loses the reply to the n-th request from now that matches, whichever server it is for.
func (w *Ways) LoseReplyTo(match func(request []byte) bool, n int) *Fault {
	return w.arm(&Fault{then: lost, byRequest: w.nth(match, n), toReply: true})
}

// LoseRequest resets the connection in place of delivering the n-th request from now that matches.
func (w *Ways) LoseRequest(match func(request []byte) bool, n int) *Fault {
	return w.arm(&Fault{then: lost, byRequest: w.nth(match, n)})
}

// nth is nth for several proxies, each of which calls it by itself.
func (w *Ways) nth(match func([]byte) bool, n int) func([]byte) bool {
	var mu sync.Mutex
	chooses := nth(match, n)
	return func(message []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		return chooses(message)
	}
}

// arm puts a fault on the lists of all proxies. That it happens once is up to the function that chooses: the n-th message is
// one.
func (w *Ways) arm(f *Fault) *Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.prepare()
	f.disarm = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, g := range w.armed {
			if g == f {
				w.armed = append(w.armed[:i:i], w.armed[i+1:]...)
				break
			}
		}
		for _, p := range w.byAddr {
			p.disarm(f)
		}
	}
	w.armed = append(w.armed, f)
	for _, p := range w.byAddr {
		p.enlist(f)
	}
	return f
}
