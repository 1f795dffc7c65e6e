package wire

import (
	"context"
	"errors"
	"net"
	"syscall"
)

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
