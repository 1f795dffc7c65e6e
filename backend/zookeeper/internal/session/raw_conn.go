package session

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// rawConn is one connection. go-zookeeper calls Read from one goroutine at a time, and so it
// calls Write, with a whole packet.
type rawConn struct {
	net.Conn
	link   *Link
	addr   string
	unread *bufio.Reader
	direct direct

	// Of the goroutine that reads.
	left    int64  // of the packet that go-zookeeper is reading
	greeted bool   // the first packet has come
	answer  []byte // for the packets of others

	// Of the goroutine on which go-zookeeper writes.
	asked bool  // the first packet was sent
	seen  int64 // what it said that this client has seen

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

// Read returns what has come for go-zookeeper, and takes out answers that are not for it, see direct.
// go-zookeeper asks for the length of each packet, and then for the packet. The buffer saves a system
// call for each length, and any for a packet that came together with another.
func (c *rawConn) Read(p []byte) (n int, err error) {
	if c.left == 0 {
		err = c.nextPacket()
	}
	if err == nil {
		n, err = c.unread.Read(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
	}
	if err != nil {
		c.direct.end()
	}
	return n, err
}

// nextPacket returns when there is a packet for go-zookeeper, which has handled all before it.
func (c *rawConn) nextPacket() error {
	for {
		head, err := c.unread.Peek(8)
		if err != nil {
			return err
		}
		length, xid := binary.BigEndian.Uint32(head), int32(binary.BigEndian.Uint32(head[4:]))
		if !c.greeted || xid >= directly {
			c.greeted, c.left = true, 4+int64(length)
			return nil
		}
		if length > maxAnswer {
			return errMalformed
		}
		_, _ = c.unread.Discard(4) // they are there
		c.answer = slices.Grow(c.answer[:0], int(length))[:length]
		if _, err := io.ReadFull(c.unread, c.answer); err != nil {
			return err
		}
		c.answered(c.answer)
	}
}

// maxAnswer is more than the answer to any transaction of ours has.
const maxAnswer = 1 << 20

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
		if !c.link.auth {
			c.direct.allow()
		}
	}
}

// Write sends a packet of go-zookeeper.
func (c *rawConn) Write(p []byte) (int, error) {
	var op int32
	if c.asked && len(p) >= 12 {
		op = int32(binary.BigEndian.Uint32(p[8:]))
	}
	switch {
	case !c.asked && len(p) >= 16:
		c.asked = true
		p, c.seen = withZxid(p, 8, c.link.zxid.Load())
	case op == opSetWatches && len(p) >= 20:
		p, _ = withZxid(p, 12, c.seen)
	}
	n, err := c.write(p)
	if op == opSetAuth && err == nil {
		c.direct.allow() // the server looks at it before it looks at what comes later
	}
	return n, err
}

// withZxid returns a packet that says that this client has seen a transaction, unless it says that
// of a later one. go-zookeeper does not know of the answers that it is not shown. A server that has
// not seen what this client has must not serve it.
func withZxid(p []byte, at int, zxid int64) (packet []byte, says int64) {
	if says = int64(binary.BigEndian.Uint64(p[at:])); says >= zxid {
		return p, says
	}
	p = slices.Clone(p)
	binary.BigEndian.PutUint64(p[at:], uint64(zxid))
	return p, zxid
}

func (c *rawConn) write(p []byte) (int, error) {
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

// Close ends the connection.
func (c *rawConn) Close() error {
	err := c.Conn.Close()
	c.direct.end()
	return err
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
