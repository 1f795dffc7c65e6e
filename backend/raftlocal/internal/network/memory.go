package network

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Memory is a network within a process: addresses are names. The zero Memory is ready.
type Memory struct {
	mu        sync.Mutex
	listeners map[string]*Pipes
}

// Listen takes a name until the listener is closed.
func (m *Memory) Listen(addr string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners[addr] != nil {
		return nil, fmt.Errorf("the address %s is in use: %w", addr, syscall.EADDRINUSE)
	}
	if m.listeners == nil {
		m.listeners = map[string]*Pipes{}
	}
	p := NewPipes(addr)
	p.closed = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.listeners, addr)
	}
	m.listeners[addr] = p
	return p, nil
}

// Dial connects to who listens under a name.
func (m *Memory) Dial(ctx context.Context, addr string) (net.Conn, error) {
	m.mu.Lock()
	p := m.listeners[addr]
	m.mu.Unlock()
	if p == nil {
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: name(addr), Err: syscall.ECONNREFUSED}
	}
	return p.Dial(ctx)
}

// Pipes is a listener whose connections are pipes within the process.
type Pipes struct {
	addr   name
	conns  chan net.Conn
	done   chan struct{}
	once   sync.Once
	closed func()
}

// NewPipes returns a listener under a name, which is for messages only.
func NewPipes(addr string) *Pipes {
	return &Pipes{addr: name(addr), conns: make(chan net.Conn), done: make(chan struct{})}
}

// Dial connects to the listener.
func (p *Pipes) Dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	var why error
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		why = &net.OpError{Op: "dial", Net: "memory", Addr: p.addr, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	_, _ = ours.Close(), theirs.Close()
	return nil, why
}

// Accept returns the next connection.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case <-p.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener, and not the connections that it has accepted.
func (p *Pipes) Close() error {
	p.once.Do(func() {
		close(p.done)
		if p.closed != nil {
			p.closed()
		}
	})
	return nil
}

// Addr returns the name.
func (p *Pipes) Addr() net.Addr { return p.addr }

type name string

func (name) Network() string  { return "memory" }
func (n name) String() string { return string(n) }
