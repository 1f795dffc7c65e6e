package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver/address"
)

// link makes the connections of one session, and knows of them what go-zookeeper
// does not tell: the session's timeout as the server has set it, when the server was
// last heard, and how to end the session's last connection without ending the session.
type link struct {
	tls       *address.Certificates // nil: none
	hosts     *hosts
	contact   *address.Contact
	handshake time.Duration // how long a server may take to accept a session, at most

	mu            sync.Mutex
	raw           *rawConn // the latest
	dialed        time.Time
	cancel        func()        // ends the attempt to connect that is under way
	refused       bool          // no connection is made any more
	writesDropped bool          // nothing is sent any more
	negotiated    time.Duration // 0 before the first handshake
	granted       time.Duration // how long the server took to grant the session, the last time
	failure       error         // of the latest attempt to connect
	hungUp        int           // how long the last packet was when the server closed the connection; or 0
	hungUpAt      time.Time
}

var errRefused = errors.New("the session has ended")

// redial is the least time between two connections. go-zookeeper goes on at once
// after each that broke.
const minRedial = 20 * time.Millisecond

// dial is the zk.Dialer. It chooses the server itself: see reach and hosts. The timeout that
// go-zookeeper gives it is a second, after which the first packet is sent again if it was
// lost, as when a server has more connections to accept than it has room for: a little more
// is enough for that.
func (l *link) dial(string, string, time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(max(l.handshake, 1500*time.Millisecond), 3*time.Second))
	defer cancel()
	l.mu.Lock()
	early := minRedial - time.Since(l.dialed)
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
	// refuse may have come while this connection was made, and then has not seen it.
	if l.refused {
		_ = r.conn.Close()
		return nil, errRefused
	}
	l.raw = newRawConn(l, r.conn, r.addr, l.handshakeTimeoutFor(r))
	return l.raw, nil
}

// patience is how long a server may take to accept a session. If there are others to ask it
// is short at first, and twice as long each time; but how far away the server is counts.
func (l *link) handshakeTimeoutFor(r dialResult) time.Duration {
	others, slow := l.hosts.others(r.addr)
	if !others {
		return l.handshake
	}
	return min(max(firstAnswer, 4*r.took)<<min(slow, 8), l.handshake)
}

// refuse cuts the connection, and lets no other be made. The session itself lives
// on at the server until its timeout.
func (l *link) refuse() {
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

// mute makes all writes fail from now on: whatever go-zookeeper is told to send,
// the end of the session for one, does not reach the server.
func (l *link) dropWrites() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writesDropped = true
}

// cutIfSilent cuts the connection if nothing came from the server since a moment,
// so that another is made. go-zookeeper itself waits for two thirds of the session's
// timeout.
func (l *link) cutIfSilent(since time.Time) {
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

// timeout returns the shortest timeout that a server has granted. The servers of an
// ensemble should agree, but each has settings of its own.
func (l *link) timeout() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.negotiated
}

// tooLate is the error of a request that was not answered within its time. Where that is little
// more than the way to the server takes, it says so.
func (l *link) tooLate(timeout time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failure != nil: // there is no connection now
		return fmt.Errorf("%w: %w", errNoAnswer, l.failure)
	case l.granted < timeout/2:
		return errNoAnswer
	}
	return fmt.Errorf("%w: not within %v, and when we connected it took %v; is it too far away for so short a TTL?",
		errNoAnswer, timeout.Round(time.Millisecond), l.granted.Round(time.Millisecond))
}

// large is how long a request is that a server may not read, if its jute.maxbuffer is set to
// less than is usual.
const large = 1000

// whyClosed says more of a connection that was closed, if there is more to say: a server hangs
// up, without an answer, on who sends more than its jute.maxbuffer.
func (l *link) whyClosed(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hungUp <= large || time.Since(l.hungUpAt) > time.Second {
		return err
	}
	return fmt.Errorf("%w by the server, when the last request had %d bytes; if its log says \"Len error\", set its jute.maxbuffer "+
		"to 65536 at least", err, l.hungUp)
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
