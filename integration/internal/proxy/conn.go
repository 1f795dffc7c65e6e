package proxy

import (
	"context"
	"io"
	"net"
	"sync"
)

// conn is a client's connection and the one to the server that belongs to it.
type conn struct {
	proxy  *Proxy
	client *net.TCPConn
	ctx    context.Context // done when the connection has been cut
	cancel context.CancelFunc
	toEnd  int // lanes that have not ended; guarded by proxy.mu

	silent chan struct{} // closed when the server has said its last

	// session is nil if the protocol is not known, or not what is spoken.
	// Guarded by proxy.mu, as is all below.
	session Session
	server  *net.TCPConn
	lossy   bool // something was swallowed
	ended   sync.Once
}

func newConn(p *Proxy, client *net.TCPConn) *conn {
	c := &conn{proxy: p, client: client, toEnd: 2, silent: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	if p.protocol != nil {
		c.session = p.protocol()
	}
	return c
}

// runUnconnected stands for a connection whose first packets are swallowed: it
// takes bytes and answers nothing, until the client ends it or Heal resets it.
func (c *conn) runUnconnected() {
	defer c.proxy.forget(c)
	_, _ = io.Copy(io.Discard, c.client)
	c.reset()
}

// run connects to the server and forwards until both directions have ended.
func (c *conn) run() {
	defer c.proxy.forget(c)
	defer c.reset()
	if !c.proxy.awaitResume(c.ctx, ToServer) || !c.dial() {
		return
	}
	up := newLane(c, ToServer, c.client, c.server)
	down := newLane(c, ToClient, c.server, c.client)
	if s := c.session; s != nil {
		up.framer, down.framer = s.Requests(), s.Replies()
	}
	var lanes sync.WaitGroup
	for _, l := range []*lane{up, down} {
		lanes.Go(l.read)
		lanes.Go(l.write)
	}
	lanes.Wait()
}

// dial reports whether the server could be reached before the connection was cut.
func (c *conn) dial() bool {
	server, err := new(net.Dialer).DialContext(c.ctx, "tcp", c.proxy.upstream)
	if err != nil {
		return false
	}
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	c.server = server.(*net.TCPConn)
	if c.ctx.Err() != nil {
		cut(c.server)
		return false
	}
	return true
}

// serverEnded reports, to the lane that goes to the server, that the other one has
// ended: the server has closed the connection and the client been told.
func (c *conn) serverEnded() bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.toEnd < 2
}

// laneEnded closes the connection when both directions have ended.
func (c *conn) laneEnded() {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if c.toEnd--; c.toEnd == 0 {
		c.end(func(side *net.TCPConn) { _ = side.Close() })
	}
}

// reset cuts both sides. It does not take proxy.mu, and may be called with it.
func (c *conn) reset() { c.end(cut) }

func (c *conn) end(closeSide func(*net.TCPConn)) {
	c.ended.Do(func() {
		c.cancel()
		closeSide(c.client)
		if c.server != nil {
			closeSide(c.server)
		}
	})
}

// cut closes a side so that its peer gets a TCP reset.
func cut(side *net.TCPConn) {
	_ = side.SetLinger(0)
	_ = side.Close()
}
