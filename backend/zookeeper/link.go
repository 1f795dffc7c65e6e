package zookeeper

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// link makes the connections of one session, and knows of them what go-zookeeper
// does not tell: the session's timeout as the server has set it, when the server was
// last heard, and how to end the session's last connection without ending the session.
type link struct {
	tls       *tls.Config   // nil: none
	handshake time.Duration // how long a server may take to accept a session

	mu         sync.Mutex
	wire       *wire // the latest
	dialed     time.Time
	refused    bool          // no connection is made any more
	muted      bool          // nothing is sent any more
	negotiated time.Duration // 0 before the first handshake
	failure    error         // of the latest attempt to connect
}

var errRefused = errors.New("the session has ended")

// redial is the least time between two connections. go-zookeeper goes on at once
// after each that broke.
const redial = 20 * time.Millisecond

// dial is the zk.Dialer. The timeout that go-zookeeper gives it is a second, after which
// the first packet is sent again if it was lost, as when a server has more connections
// to accept than it has room for: a little more is enough for that.
func (l *link) dial(network, addr string, _ time.Duration) (net.Conn, error) {
	l.mu.Lock()
	early := redial - time.Since(l.dialed)
	refused := l.refused
	l.mu.Unlock()
	if refused {
		return nil, errRefused
	}
	if early > 0 {
		time.Sleep(early) // on go-zookeeper's goroutine, which has nothing else to do
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(max(l.handshake, 1500*time.Millisecond), 3*time.Second))
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil && l.tls != nil {
		c, err = secure(ctx, c, addr, l.tls)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialed = time.Now()
	l.failure = err
	if err != nil {
		return nil, err
	}
	// refuse may have come while this connection was made, and then has not seen it.
	if l.refused {
		_ = c.Close()
		return nil, errRefused
	}
	l.wire = &wire{Conn: c, link: l, until: l.dialed.Add(l.handshake)}
	return l.wire, nil
}

func secure(ctx context.Context, c net.Conn, addr string, conf *tls.Config) (net.Conn, error) {
	if conf.ServerName == "" {
		conf = conf.Clone()
		conf.ServerName, _, _ = net.SplitHostPort(addr)
	}
	s := tls.Client(c, conf)
	if err := s.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, nil
}

// refuse cuts the connection, and lets no other be made. The session itself lives
// on at the server until its timeout.
func (l *link) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = true
	if l.wire != nil {
		_ = l.wire.Close()
	}
}

// mute makes all writes fail from now on: whatever go-zookeeper is told to send,
// the end of the session for one, does not reach the server.
func (l *link) mute() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.muted = true
}

// cutIfSilent cuts the connection if nothing came from the server since a moment,
// so that another is made. go-zookeeper itself waits for two thirds of the session's
// timeout.
func (l *link) cutIfSilent(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.wire; w != nil && w.heard.Before(since) {
		_ = w.Close()
	}
}

// timeout returns the shortest timeout that a server has granted. The servers of an
// ensemble should agree, but each has settings of its own.
func (l *link) timeout() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.negotiated
}

func (l *link) isRefused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

func (l *link) lastFailure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// wire is one connection. Read is called by one goroutine at a time, and so is
// Write, which is go-zookeeper's way.
type wire struct {
	net.Conn
	link *link

	greeting []byte    // the first packet's beginning
	until    time.Time // when the handshake must be over; zero once it is
	heard    time.Time // guarded by link.mu
}

// greetingLen covers the length of the packet, the protocol's version, the
// session's timeout in ms and its id.
const greetingLen = 4 + 4 + 4 + 8

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	w.heard = time.Now()
	if missing := greetingLen - len(w.greeting); missing > 0 {
		w.greeting = append(w.greeting, p[:min(n, missing)]...)
		if len(w.greeting) == greetingLen {
			w.greeted()
		}
	}
	return n, err
}

// greeted reads the server's answer to the handshake. Session 0 is the answer that
// the session has expired.
func (w *wire) greeted() {
	w.until = time.Time{}
	ms, id := int32(binary.BigEndian.Uint32(w.greeting[8:])), binary.BigEndian.Uint64(w.greeting[12:])
	if timeout := time.Duration(ms) * time.Millisecond; id != 0 && (w.link.negotiated == 0 || timeout < w.link.negotiated) {
		w.link.negotiated = timeout
	}
}

func (w *wire) Write(p []byte) (int, error) {
	w.link.mu.Lock()
	muted := w.link.muted
	w.link.mu.Unlock()
	if muted {
		return 0, errRefused
	}
	return w.Conn.Write(p)
}

// SetReadDeadline bounds the handshake: go-zookeeper would wait several timeouts
// for the beginning of the server's answer, and for ever for its end.
func (w *wire) SetReadDeadline(t time.Time) error {
	w.link.mu.Lock()
	if !w.until.IsZero() && (t.IsZero() || t.After(w.until)) {
		t = w.until
	}
	w.link.mu.Unlock()
	return w.Conn.SetReadDeadline(t)
}
