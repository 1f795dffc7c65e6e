package zookeeper

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// wire is one connection. Read is called by one goroutine at a time, and so is
// Write, which is go-zookeeper's way.
type rawConn struct {
	net.Conn
	link   *link
	addr   string
	unread *bufio.Reader

	handshakeTimeout time.Duration // for the handshake
	handshakeReply   []byte        // the first packet's beginning
	until            time.Time     // when the handshake must be over; zero once it is
	sent             int           // how long the last packet was
	ended            bool          // that it broke was noted
	heard            time.Time     // guarded by link.mu, as is all above
}

// newWire begins a connection. Called with link.mu held.
func newRawConn(l *link, c net.Conn, addr string, patience time.Duration) *rawConn {
	w := &rawConn{Conn: c, link: l, addr: addr, handshakeTimeout: patience, until: l.dialed.Add(patience)}
	w.unread = bufio.NewReader(rawReader{w})
	return w
}

// greetingLen covers the length of the packet, the protocol's version, the
// session's timeout in ms and its id.
const handshakeReplyLen = 4 + 4 + 4 + 8

// Read gives what has come. go-zookeeper asks for the length of each packet and then
// for the packet; so that this is no two calls of the system for each, and none for a
// packet that came with another, what has come is taken in at once.
func (c *rawConn) Read(p []byte) (int, error) { return c.unread.Read(p) }

// network is the reading side below that.
type rawReader struct{ *rawConn }

func (r rawReader) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.link.mu.Lock()
	defer r.link.mu.Unlock()
	if n == 0 {
		r.closedLocked(err)
		return n, err
	}
	r.heard = time.Now()
	if missing := handshakeReplyLen - len(r.handshakeReply); missing > 0 {
		r.handshakeReply = append(r.handshakeReply, p[:min(n, missing)]...)
		if len(r.handshakeReply) == handshakeReplyLen {
			r.onHandshake()
		}
	}
	return n, err
}

// greeted reads the server's answer to the handshake. Session 0 is the answer that
// the session has expired.
func (c *rawConn) onHandshake() {
	c.until = time.Time{}
	ms, id := int32(binary.BigEndian.Uint32(c.handshakeReply[8:])), binary.BigEndian.Uint64(c.handshakeReply[12:])
	c.link.hosts.history.note(c.addr, true)
	c.link.failure = nil
	c.link.contact.Reached()
	c.link.granted = time.Since(c.link.dialed)
	if timeout := time.Duration(ms) * time.Millisecond; id != 0 && (c.link.negotiated == 0 || timeout < c.link.negotiated) {
		c.link.negotiated = timeout
	}
}

func (c *rawConn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	muted := c.link.writesDropped
	c.sent = len(p)
	c.link.mu.Unlock()
	if muted {
		return 0, errRefused
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.link.mu.Lock()
		defer c.link.mu.Unlock()
		c.closedLocked(err)
	}
	return n, err
}

// brokeLocked notes what the end of a connection says about its server. Call with link.mu
// held.
func (c *rawConn) closedLocked(err error) {
	if err == nil || c.ended || c.link.refused {
		return
	}
	c.ended = true
	if c.until.IsZero() {
		c.link.hosts.history.broke(c.addr)
		if c.link.hungUp = 0; errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			c.link.hungUp, c.link.hungUpAt = c.sent, time.Now()
		}
		return
	}
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if late && c.handshakeTimeout < c.link.handshake {
		c.link.hosts.wasSlow(c.addr)
	} else {
		c.link.hosts.failed(c.addr)
	}
	c.link.failure = c.noSession(err)
	c.link.contact.Lost(c.link.failure)
}

// noSession says why the server has given us none. What hangs up on us without a word does so
// for one of several reasons, which look the same.
func (c *rawConn) noSession(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s has accepted the connection, and then said nothing for %v", c.addr, c.handshakeTimeout.Round(time.Millisecond))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		tls := ""
		if c.link.tls == nil {
			tls = ", or wants TLS"
		}
		return fmt.Errorf("%s has closed the connection without an answer: it is starting, has no majority, "+
			"has as many connections of this address as its maxClientCnxns allows%s; its log says which", c.addr, tls)
	default: // a certificate that it does not like, for one
		return withServerName(c.addr, err)
	}
}

// SetReadDeadline bounds the handshake: go-zookeeper would wait several timeouts
// for the beginning of the server's answer, and for ever for its end.
func (c *rawConn) SetReadDeadline(t time.Time) error {
	c.link.mu.Lock()
	if !c.until.IsZero() && (t.IsZero() || t.After(c.until)) {
		t = c.until
	}
	c.link.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}
