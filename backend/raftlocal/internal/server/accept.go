package server

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// acceptPause is how long nothing is accepted when the system has no means for it.
const acceptPause = 50 * time.Millisecond

// door is where others come in: it finds out who they are, and hands them on.
type door struct {
	*self
	conns      *conns
	told       *told
	operators  *operators
	clients    *clients
	inbound    *inbound
	beginnings *beginnings

	last atomic.Uint64 // number of the last connection
}

// accept takes connections until the listener is closed.
func (d *door) accept(l net.Listener, own bool) {
	var told time.Time
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			if time.Since(told) > tellAgain {
				told = time.Now()
				d.logger.Error("no connection can be accepted", "member", d.cfg.Member.Name, "error", disk.Scarce(err))
			}
			if !d.pause(acceptPause) {
				return
			}
		default:
			d.welcome(conn, own)
		}
	}
}

// welcome serves a connection.
func (d *door) welcome(conn net.Conn, own bool) {
	hold := d.conns.holdStranger
	if own {
		hold = d.conns.hold
	}
	if !hold(conn) {
		_ = conn.Close()
		return
	}
	// In the order in which they were accepted.
	number := d.last.Add(1)
	d.running.Go(func() {
		defer d.conns.drop(conn)
		d.serve(conn, number, own)
	})
}

// beginsTLS is the first byte of a TLS handshake.
const beginsTLS = 0x16

// serve finds out who it is. Who comes from our own process needs no TLS.
func (d *door) serve(conn net.Conn, number uint64, own bool) {
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // an error shows at the next call
	c := &peekedConn{Conn: conn}
	first, err := c.peek()
	if err != nil {
		return
	}
	encrypted := first == beginsTLS
	switch {
	case encrypted && d.cfg.Secure == nil:
		// Whatever is not TLS tells a TLS client that there is none here.
		const why = "this member does not use TLS"
		d.told.turnedAway(conn.RemoteAddr(), errors.New(why))
		_, _ = c.Write(wire.AppendRefusal(nil, why))
		return
	case !encrypted && d.cfg.Secure != nil && !own:
		d.refusePlain(conn, first)
		return
	case encrypted:
		ctx, cancel := context.WithTimeout(d.ctx, helloTimeout)
		inner, err := d.cfg.Secure.Server(ctx, c)
		cancel()
		if err != nil {
			if !network.HungUp(err) { // as when its process ends
				d.told.turnedAway(conn.RemoteAddr(), err)
			}
			return
		}
		c = &peekedConn{Conn: inner}
		if first, err = c.peek(); err != nil {
			return
		}
	}
	if first == wire.Preface[0] {
		d.greet(c, conn, number)
		return
	}
	if err := d.conns.seat(conn, wire.Client); err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"+err.Error()+"\n")
		return
	}
	d.operators.serve(c)
}

// maxIgnored is how much more is taken of somebody who is refused, so that the answer is not lost: a
// connection that is closed with something unread tells the other side so before it has read.
const maxIgnored = 4 << 10

// refusePlain tells one who does not use TLS to do so. It has sent one byte, and nothing that follows
// is looked at.
func (d *door) refusePlain(conn net.Conn, first byte) {
	const why = "this member takes TLS only: give ca=, cert= and key= of the cluster's authority"
	d.told.turnedAway(conn.RemoteAddr(), errors.New(why))
	_ = conn.SetDeadline(time.Now().Add(farewell))
	answer := wire.AppendRefusal(nil, why)
	if first != wire.Preface[0] {
		answer = []byte("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" +
			"This member takes TLS only: use https, with a certificate of the cluster's authority.\n")
	}
	_, _ = conn.Write(answer)
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_, _ = io.CopyN(io.Discard, conn, maxIgnored)
	}
}

// peekedConn is a connection of which a byte has been read ahead.
type peekedConn struct {
	net.Conn
	ahead []byte
}

func (c *peekedConn) peek() (byte, error) {
	if len(c.ahead) == 0 {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c.Conn, b); err != nil {
			return 0, err
		}
		c.ahead = b
	}
	return c.ahead[0], nil
}

func (c *peekedConn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 && len(p) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// maxTold is how many lines are remembered that were told within a tellAgain.
const maxTold = 256

// told is what was logged of others. What strangers cause has to come through here, since they may come
// back at once, for ever.
type told struct {
	*self
	mu    sync.Mutex
	lines map[string]time.Time // and when
}

// once reports whether a line is to be told: not if the same was within the last tellAgain.
func (o *told) once(line ...string) bool {
	key, now := strings.Join(line, "\x00"), time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.lines[key]; ok && now.Sub(at) < tellAgain {
		return false
	}
	if len(o.lines) >= maxTold {
		for k, at := range o.lines {
			if now.Sub(at) >= tellAgain {
				delete(o.lines, k)
			}
		}
		if len(o.lines) >= maxTold {
			return false // they are many, and the first of them were told
		}
	}
	o.lines[key] = now
	return true
}

// turnedAway tells that somebody was refused, and why.
func (o *told) turnedAway(from net.Addr, why error) {
	host, _, err := net.SplitHostPort(from.String())
	if err != nil {
		host = from.String()
	}
	if o.once("refused", host, why.Error()) {
		o.logger.Warn("a connection is refused", "member", o.cfg.Member.Name, "from", from.String(), "error", why)
	}
}

// refuse tells why the connection ends.
func (o *told) refuse(c net.Conn, why error) {
	o.turnedAway(c.RemoteAddr(), why)
	_ = c.SetWriteDeadline(time.Now().Add(farewell))
	_, _ = c.Write(wire.AppendRefusal(nil, why.Error())) // who does not read it is gone
}
