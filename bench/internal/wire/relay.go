package wire

import (
	"context"
	"io"
	"net"
	"sync"
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
