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
type wire struct {
	net.Conn
	link   *link
	addr   string
	unread *bufio.Reader

	patience time.Duration // for the handshake
	greeting []byte        // the first packet's beginning
	until    time.Time     // when the handshake must be over; zero once it is
	sent     int           // how long the last packet was
	ended    bool          // that it broke was noted
	heard    time.Time     // guarded by link.mu, as is all above
}

// newWire begins a connection. Called with link.mu held.
func newWire(l *link, c net.Conn, addr string, patience time.Duration) *wire {
	w := &wire{Conn: c, link: l, addr: addr, patience: patience, until: l.dialed.Add(patience)}
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
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	if n == 0 {
		w.brokeLocked(err)
		return n, err
	}
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
	w.link.hosts.standing.note(w.addr, true)
	w.link.failure = nil
	w.link.contact.Reached()
	w.link.granted = time.Since(w.link.dialed)
	if timeout := time.Duration(ms) * time.Millisecond; id != 0 && (w.link.negotiated == 0 || timeout < w.link.negotiated) {
		w.link.negotiated = timeout
	}
}

func (w *wire) Write(p []byte) (int, error) {
	w.link.mu.Lock()
	muted := w.link.muted
	w.sent = len(p)
	w.link.mu.Unlock()
	if muted {
		return 0, errRefused
	}
	n, err := w.Conn.Write(p)
	if err != nil {
		w.link.mu.Lock()
		defer w.link.mu.Unlock()
		w.brokeLocked(err)
	}
	return n, err
}

// brokeLocked notes what the end of a connection says about its server. Call with link.mu
// held.
func (w *wire) brokeLocked(err error) {
	if err == nil || w.ended || w.link.refused {
		return
	}
	w.ended = true
	if w.until.IsZero() {
		w.link.hosts.standing.broke(w.addr)
		if w.link.hungUp = 0; errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			w.link.hungUp, w.link.hungUpAt = w.sent, time.Now()
		}
		return
	}
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if late && w.patience < w.link.handshake {
		w.link.hosts.wasSlow(w.addr)
	} else {
		w.link.hosts.failed(w.addr)
	}
	w.link.failure = w.noSession(err)
	w.link.contact.Lost(w.link.failure)
}

// noSession says why the server has given us none. What hangs up on us without a word does so
// for one of several reasons, which look the same.
func (w *wire) noSession(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s has accepted the connection, and then said nothing for %v", w.addr, w.patience.Round(time.Millisecond))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		tls := ""
		if w.link.tls == nil {
			tls = ", or wants TLS"
		}
		return fmt.Errorf("%s has closed the connection without an answer: it is starting, has no majority, "+
			"has as many connections of this address as its maxClientCnxns allows%s; its log says which", w.addr, tls)
	default: // a certificate that it does not like, for one
		return told(w.addr, err)
	}
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
