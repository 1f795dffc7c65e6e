package proxy

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
)

// Proxy forwards the connections made to Addr to one server.
type Proxy struct {
	upstream string
	protocol Protocol
	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu     sync.Mutex
	door   door
	conns  map[*conn]struct{}
	faults faults
	armed  []*Fault
	held   []*Fault
	counts Counts
	closed bool
}

// New starts a proxy on a free port of the loopback interface. With a nil
// protocol it forwards bytes and cannot tell messages apart.
func New(upstream string, protocol Protocol) (*Proxy, error) {
	p := &Proxy{
		upstream: upstream,
		protocol: protocol,
		conns:    map[*conn]struct{}{},
		faults:   faults{changed: make(chan struct{})},
	}
	if err := p.door.open(); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.running.Go(p.accept(p.door.listener))
	return p, nil
}

// Start is [New] for the length of a test.
func Start(t testing.TB, upstream string, protocol Protocol) *Proxy {
	t.Helper()
	p, err := New(upstream, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Addr is where clients connect to, host:port. It never changes.
func (p *Proxy) Addr() string { return p.door.addr }

// Close resets all connections and returns when every goroutine has ended. It may
// be called twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.door.shut()
	}
	p.mu.Unlock()
	p.stop()
	p.Reset()
	p.running.Wait()
}

// accept returns a loop that ends when its listener is closed.
func (p *Proxy) accept(l *net.TCPListener) func() {
	return func() {
		for {
			client, err := l.AcceptTCP()
			if err != nil {
				return
			}
			p.admit(client)
		}
	}
}

// admit decides, in one step with the faults of that moment, whether the server
// is to learn of a new connection.
func (p *Proxy) admit(client *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.door.listener == nil {
		cut(client)
		return
	}
	p.counts.Accepted++
	c := newConn(p, client)
	c.lossy = p.faults.dropped&ToServer != 0
	p.conns[c] = struct{}{}
	if c.lossy {
		p.running.Go(c.runUnconnected)
		return
	}
	p.running.Go(c.run)
}

// forget is called by a connection that has ended.
func (p *Proxy) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}
