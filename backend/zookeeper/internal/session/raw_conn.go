package session

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// rawConn is one connection. go-zookeeper calls Read from one goroutine at a time, and so it
// calls Write.
type rawConn struct {
	net.Conn
	link   *Link
	addr   string
	unread *bufio.Reader

	handshakeTimeout time.Duration // for the handshake
	handshakeReply   []byte        // the beginning of the first packet
	until            time.Time     // when the handshake must be over; zero once it is
	sent             int           // how long the last packet was
	ended            bool          // its end was noted
	heard            time.Time     // guarded by link.mu, as is all above
}

// newRawConn begins a connection. Call with link.mu held.
func newRawConn(l *Link, c net.Conn, addr string, timeout time.Duration) *rawConn {
	w := &rawConn{Conn: c, link: l, addr: addr, handshakeTimeout: timeout, until: l.dialed.Add(timeout)}
	w.unread = bufio.NewReader(rawReader{w})
	return w
}

// handshakeReplyLen covers the length of the packet, the version of the protocol, the session's
// timeout in ms and its id.
const handshakeReplyLen = 4 + 4 + 4 + 8

// Read returns what has come. go-zookeeper asks for the length of each packet, and then for the
// packet. The buffer saves a system call for each length, and any for a packet that came together
// with another.
func (c *rawConn) Read(p []byte) (int, error) { return c.unread.Read(p) }

// rawReader is the reading side below the buffer.
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

// onHandshake reads the server's answer to the handshake. In it, session 0 says that the session
// has expired. Call with link.mu held.
func (c *rawConn) onHandshake() {
	c.until = time.Time{}
	ms, id := int32(binary.BigEndian.Uint32(c.handshakeReply[8:])), binary.BigEndian.Uint64(c.handshakeReply[12:])
	c.link.hosts.history.note(c.addr, true)
	c.link.failure = nil
	c.link.contact.Reached()
	c.link.granted = time.Since(c.link.dialed)
	if id != 0 {
		c.link.grantedLocked(time.Duration(ms) * time.Millisecond)
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

// closedLocked notes what the end of a connection says about its server. Call with link.mu held.
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

// SetReadDeadline bounds the handshake. go-zookeeper would wait several timeouts for the
// beginning of the server's answer, and for ever for its end.
func (c *rawConn) SetReadDeadline(t time.Time) error {
	c.link.mu.Lock()
	if !c.until.IsZero() && (t.IsZero() || t.After(c.until)) {
		t = c.until
	}
	c.link.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}
