package session

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/fencelock/fencelock/driver/address"
)

// Link makes the connections of one session. It knows of them what go-zookeeper does not tell:
// the session's timeout as the server has set it, when the server was last heard, and how to end
// the session's last connection without ending the session.
type Link struct {
	tls       *address.Certificates // nil: none
	hosts     *hosts
	contact   *address.Contact
	handshake time.Duration // the longest that a server may take to accept a session

	mu            sync.Mutex
	raw           *rawConn // the latest
	dialed        time.Time
	cancel        func()        // ends the dialing that is under way
	refused       bool          // no connection is made any more
	writesDropped bool          // nothing is sent any more
	negotiated    time.Duration // 0 before the first handshake
	granted       time.Duration // how long the server took to grant the session, the last time
	failure       error         // of the latest attempt to connect
	hungUp        int           // the length of the last packet when the server closed the connection; 0: it did not
	hungUpAt      time.Time
}

var errRefused = errors.New("the session has ended")

// MinRedial is the least time between two connections. go-zookeeper connects again at once after
// each that broke.
const MinRedial = 20 * time.Millisecond

// dial is the zk.Dialer. It chooses the server itself: see dialFirst and hosts. go-zookeeper
// gives it a timeout of a second. After that time a first packet that was lost is sent again, as
// when a server has more connections to accept than it has room for; so dial takes a little more.
func (l *Link) dial(string, string, time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(max(l.handshake, 1500*time.Millisecond), 3*time.Second))
	defer cancel()
	l.mu.Lock()
	early := MinRedial - time.Since(l.dialed)
	refused := l.refused
	l.cancel = cancel
	l.mu.Unlock()
	if refused {
		return nil, errRefused
	}
	if early > 0 {
		time.Sleep(early) // on go-zookeeper's goroutine, which has nothing else to do
	}
	r, err := dialFirst(ctx, l.hosts.order(), l.tls, l.hosts.failed)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialed = time.Now()
	if err != nil {
		l.failure = err
		if !l.refused {
			l.contact.Lost(err)
		}
		return nil, err
	}
	// refuse may have come while this connection was made, and then it has not seen it.
	if l.refused {
		_ = r.conn.Close()
		return nil, errRefused
	}
	l.raw = newRawConn(l, r.conn, r.addr, l.handshakeTimeoutFor(r))
	return l.raw, nil
}

// handshakeTimeoutFor is how long a server may take to accept a session. If there are others to
// ask the time is short at first, and twice as long each time; but it allows for the distance of
// the server.
func (l *Link) handshakeTimeoutFor(r dialResult) time.Duration {
	others, slow := l.hosts.others(r.addr)
	if !others {
		return l.handshake
	}
	return min(max(firstAnswer, 4*r.took)<<min(slow, 8), l.handshake)
}

// refuse cuts the connection, and allows no other. The session itself lives on at the server
// until its timeout.
func (l *Link) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = true
	if l.cancel != nil {
		l.cancel()
	}
	if l.raw != nil {
		_ = l.raw.Close()
	}
}

// dropWrites makes all writes fail from now on. So nothing that go-zookeeper sends reaches the
// server, such as the end of the session.
func (l *Link) dropWrites() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writesDropped = true
}

// cutIfSilent cuts the connection if nothing came from the server since a moment, so that
// go-zookeeper makes another. By itself go-zookeeper waits for two thirds of the session's
// timeout.
func (l *Link) cutIfSilent(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.raw; c != nil && c.heard.Before(since) {
		if !c.ended && c.until.IsZero() {
			c.ended = true
			l.hosts.history.note(c.addr, false)
		}
		_ = c.Close()
	}
}

// timeout returns the shortest timeout that a server has granted. The servers of an ensemble
// should agree, but each has settings of its own.
func (l *Link) timeout() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.negotiated
}

func (l *Link) isRefused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

func (l *Link) lastFailure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

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

func (l *Link) grantedLocked(timeout time.Duration) {
	if l.negotiated == 0 || timeout < l.negotiated {
		l.negotiated = timeout
	}
}

// Granted notes that a server has granted a timeout, for a Config.Connect that does not dial.
func (l *Link) Granted(timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grantedLocked(timeout)
}

// Muted reports whether nothing is to be sent any more, for the same.
func (l *Link) Muted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writesDropped
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
