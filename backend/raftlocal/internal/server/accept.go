package server

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// acceptPause is how long nothing is accepted when the system has no means for it.
const acceptPause = 50 * time.Millisecond

// accept takes connections until the listener is closed.
func (s *Server) accept(l net.Listener, own bool) {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.logger.Warn("no connection can be accepted", "member", s.cfg.Member.Name, "error", err)
			if !s.pause(acceptPause) {
				return
			}
		default:
			s.welcome(conn, own)
		}
	}
}

// pause waits, and reports whether the server goes on.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// welcome serves a connection, unless there are too many.
func (s *Server) welcome(conn net.Conn, own bool) {
	if !s.hold(conn) {
		_ = conn.Close()
		return
	}
	// In the order in which they were accepted.
	number := s.last.Add(1)
	s.running.Go(func() {
		defer s.drop(conn)
		s.serve(conn, number, own)
	})
}

// hold notes a connection, so that it is closed when the server ends.
func (s *Server) hold(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= mostConns {
		return false
	}
	s.conns[conn] = false
	return true
}

// drop closes a connection.
func (s *Server) drop(conn net.Conn) {
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	_ = conn.Close() // what was to be written was, or cannot be
}

// beginsTLS is the first byte of a TLS handshake.
const beginsTLS = 0x16

// serve finds out who it is. Who comes from our own process needs no TLS.
func (s *Server) serve(conn net.Conn, number uint64, own bool) {
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // an error shows at the next call
	c := &begun{Conn: conn}
	first, err := c.peek()
	if err != nil {
		return
	}
	encrypted := first == beginsTLS
	if encrypted && s.cfg.Secure == nil {
		// Whatever is not TLS tells a TLS client that there is none here.
		_, _ = c.Write(wire.AppendRefusal(nil, "this member does not use TLS"))
		return
	}
	if encrypted {
		ctx, cancel := context.WithTimeout(s.ctx, helloTimeout)
		inner, err := s.cfg.Secure.Server(ctx, c)
		cancel()
		if err != nil {
			s.logger.Warn("a connection is refused", "member", s.cfg.Member.Name, "from", conn.RemoteAddr().String(), "error", err)
			return
		}
		c = &begun{Conn: inner}
		if first, err = c.peek(); err != nil {
			return
		}
	}
	stranger := s.cfg.Secure != nil && !encrypted && !own
	switch {
	case first == wire.Preface[0]:
		s.greet(c, conn, number, stranger)
	case stranger:
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"+
			"This member takes TLS only: use https, with a certificate of the cluster's authority.\n")
	default:
		s.operators.serve(c)
	}
}

// begun is a connection of which a byte has been read ahead.
type begun struct {
	net.Conn
	ahead []byte
}

func (c *begun) peek() (byte, error) {
	if len(c.ahead) == 0 {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c.Conn, b); err != nil {
			return 0, err
		}
		c.ahead = b
	}
	return c.ahead[0], nil
}

func (c *begun) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 && len(p) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
