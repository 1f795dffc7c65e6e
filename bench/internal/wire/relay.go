// Package wire counts what clients really send and receive, below the client library, so that every contestant is
// counted by the same rule. A server's own counters would not do: that of Redis also counts the calls inside a script.
package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Relay lets a client be counted that takes an address and no dialer, ours among them: it connects to the relay, and what
// passes is counted on the way to the server. Nobody who is timed goes through one.
type Relay struct {
	Addr string

	listener net.Listener
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	stop     context.CancelFunc // of connecting
	to       string
	done     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// NewRelay listens on a free loopback port, and connects whoever comes with the server at to.
func NewRelay(ctx context.Context, to string, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // the client may connect at any time
	r := &Relay{Addr: l.Addr().String(), listener: l, dial: dial, stop: stop, to: to, conns: map[net.Conn]bool{}}
	r.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.done.Go(func() { r.serve(ctx, c) })
		}
	})
	return r, nil
}

// Close ends all connections.
func (r *Relay) Close() error {
	err := r.listener.Close()
	r.stop()
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.done.Wait()
	return err
}

func (r *Relay) serve(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := r.dial(ctx, "tcp", r.to)
	if err != nil {
		return // the client sees its connection end
	}
	defer func() { _ = server.Close() }()
	if !r.keep(client, server) {
		return
	}
	defer r.drop(client, server)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
}

// keep notes the connections for Close. It is false when Close has been first: then nobody else would end them.
func (r *Relay) keep(all ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range all {
		r.conns[c] = true
	}
	return !r.closed
}

func (r *Relay) drop(all ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range all {
		delete(r.conns, c)
	}
}

// Dial connects and counts what passes over the connection. Its form fits go-redis, rueidis and gRPC alike.
func (c *Counter) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	inner, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c.wrap(inner), nil
}

func (c *Counter) wrap(inner net.Conn) *conn {
	w := &conn{Conn: inner, counter: c}
	w.out, w.in = c.protocol(c)
	return w
}

// conn needs no mutex: all clients write a connection from one goroutine at a time, and read it likewise.
type conn struct {
	net.Conn
	counter *Counter
	out, in stream
}

func (c *conn) Write(p []byte) (int, error) {
	// Counted before it is sent: the reply may be handled elsewhere before this goroutine runs again.
	c.out.feed(p)
	c.counter.sent.Add(int64(len(p)))
	return c.Conn.Write(p)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.feed(p[:n])
	c.counter.received.Add(int64(n))
	return n, err
}

// SyscallConn keeps go-redis's check for dead pooled connections working, so that counting does not change behaviour.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.New("wire: the connection has no file descriptor")
}

// Counter adds up the traffic of all connections made with its Dial. It is safe for concurrent use.
type Counter struct {
	protocol Protocol

	commands, pushes, sent, received atomic.Int64
}

// NewCounter makes a Counter for connections that speak p.
func NewCounter(p Protocol) *Counter { return &Counter{protocol: p} }

// Count is a reading of a Counter.
type Count struct {
	Commands int64 // requests written by clients
	Pushes   int64 // messages that the server sent unasked: pub/sub, invalidations
	Sent     int64 // bytes written by clients
	Received int64 // bytes read by clients
}

// Read returns the traffic so far.
func (c *Counter) Read() Count {
	return Count{
		Commands: c.commands.Load(),
		Pushes:   c.pushes.Load(),
		Sent:     c.sent.Load(),
		Received: c.received.Load(),
	}
}

// Minus returns the traffic between an earlier reading and this one.
func (c Count) Minus(earlier Count) Count {
	return Count{
		Commands: c.Commands - earlier.Commands,
		Pushes:   c.Pushes - earlier.Pushes,
		Sent:     c.Sent - earlier.Sent,
		Received: c.Received - earlier.Received,
	}
}

// Bytes is the traffic in both directions.
func (c Count) Bytes() int64 { return c.Sent + c.Received }
