package session

import (
	"context"
	"errors"
	"net"
	"sync"
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
