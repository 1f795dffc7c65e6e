// Package network is how members, clients and operators reach each other: TCP, with mutual
// TLS or plain, sockets of a directory, and pipes within a process.
//
// # Addresses
//
//	host:port       TCP
//	unix:/path      a socket in the file system
//
// # Trust
//
// With TLS both sides show a certificate of the one authority, and both verify the other's. It
// is the only right that there is: whoever has a certificate may take locks, be a member,
// and operate the cluster. The version is 1.3, and a certificate serves both as a server's
// and as a client's, since members dial each other.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
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

// Network listens and dials. It is safe for concurrent use.
type Network interface {
	// Listen listens on an address of this machine.
	Listen(addr string) (net.Listener, error)
	// Dial connects to a member. It returns soon after ctx is done. Its errors are a [Reason] or a
	// [Mismatch] where possible, and do not say that a context has ended.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// dialTimeout bounds one attempt to connect, which the operating system would bound by minutes.
const dialTimeout = 3 * time.Second

// system is the network of the operating system.
type system struct{ dialer net.Dialer }

// System returns the network of the operating system. A connection whose other end has gone
// without a word is found out within about 15 s.
func System() Network {
	keep := net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 5}
	return &system{net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keep}}
}

// Split returns what net.Dial calls network and address.
func Split(addr string) (kind, rest string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", path
	}
	return "tcp", addr
}

// Listen says what to do if the address is taken.
func (s *system) Listen(addr string) (net.Listener, error) {
	kind, rest := Split(addr)
	if kind == "unix" {
		return ListenUnix(rest, NoGroup)
	}
	lc := net.ListenConfig{KeepAliveConfig: s.dialer.KeepAliveConfig}
	l, err := lc.Listen(context.Background(), kind, rest)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is in use: end the program that listens there, or listen on another port: %w", addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("the address %s is not one of this machine: listen on one of its own, or on :port for all of them: %w", addr, err)
	case err != nil:
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return l, nil
}

func (s *system) Dial(ctx context.Context, addr string) (net.Conn, error) {
	kind, rest := Split(addr)
	if kind == "unix" {
		conn, err := s.dialUnix(ctx, rest)
		return conn, Plain(err, Mute)
	}
	conn, err := s.dialer.DialContext(ctx, kind, rest)
	return conn, Plain(err, unreached)
}
