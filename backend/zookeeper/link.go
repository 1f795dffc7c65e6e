package zookeeper

import (
	"context"
	"crypto/tls"
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
	l.wire = newWire(l, c)
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
