package zookeeper

import (
	"bufio"
	"encoding/binary"
	"net"
	"time"
)

// wire is one connection. Read is called by one goroutine at a time, and so is
// Write, which is go-zookeeper's way.
type wire struct {
	net.Conn
	link   *link
	unread *bufio.Reader

	greeting []byte    // the first packet's beginning
	until    time.Time // when the handshake must be over; zero once it is
	heard    time.Time // guarded by link.mu
}

// newWire begins a connection. Called with link.mu held.
func newWire(l *link, c net.Conn) *wire {
	w := &wire{Conn: c, link: l, until: l.dialed.Add(l.handshake)}
	w.unread = bufio.NewReader(network{w})
	return w
}

// greetingLen covers the length of the packet, the protocol's version, the
// session's timeout in ms and its id.
const greetingLen = 4 + 4 + 4 + 8

// Read gives what has come. go-zookeeper asks for the length of each packet and then
// for the packet; so that this is no two calls of the system for each, and none for a
// packet that came with another, what has come is taken in at once.
func (w *wire) Read(p []byte) (int, error) { return w.unread.Read(p) }

// network is the reading side below that.
type network struct{ *wire }

func (w network) Read(p []byte) (int, error) {
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
