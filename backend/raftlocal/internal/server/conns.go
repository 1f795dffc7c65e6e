package server

import (
	"container/list"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

const (
	// maxClients is the most clients and operators at once.
	maxClients = 20_000
	// maxStrangers is the most connections of those who have not said who they are.
	maxStrangers = 1024
	// leastStrangers is for a process that may have very few files open: fewer connections than
	// a handful of members and clients make at once would keep these out.
	leastStrangers = 16
)

// conns are the connections that are held. A process may have so many files and connections
// open, and whoever reaches the port can make some: so of these, strangers get an eighth and
// clients a half. The rest is for the log, for members, and for the application.
type conns struct {
	clients, strangers int // the most of each
	served             int // clients
	all                map[net.Conn]*held
	unknown            list.List // strangers, the oldest first
	told               time.Time // when it was told that strangers are many
}

// held is what is known of a connection.
type held struct {
	lingers  bool          // see Stop
	client   bool          // it is served as one
	stranger *list.Element // its place among them, or nil
}

func (c *conns) begin(files uint64) {
	c.all = map[net.Conn]*held{}
	c.clients = int(min(maxClients, files/2))                          //nolint:gosec // small
	c.strangers = max(int(min(maxStrangers, files/8)), leastStrangers) //nolint:gosec // small
}

// hold notes a connection, so that it is closed when the server ends.
func (s *Server) hold(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holdLocked(conn) != nil
}

func (s *Server) holdLocked(conn net.Conn) *held {
	if s.closed {
		return nil
	}
	h := &held{}
	s.conns.all[conn] = h
	return h
}

// holdStranger notes a connection of somebody who has not said who it is. If there are too many, the
// one that has had most time for it is closed: who has something to say does so at once, and
// finds a place whatever the others do.
func (s *Server) holdStranger(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holdLocked(conn)
	if h == nil {
		return false
	}
	c := &s.conns
	h.stranger = c.unknown.PushBack(conn)
	if c.unknown.Len() <= c.strangers {
		return true
	}
	oldest := c.unknown.Front()
	s.acquainted(c.all[oldest.Value.(net.Conn)])
	_ = oldest.Value.(net.Conn).Close() // who serves it sees that, and drops it
	if time.Since(c.told) > tellAgain {
		c.told = time.Now()
		s.running.Go(func() {
			s.logger.Warn("many connections do not say who they are: the oldest are closed", "member", s.cfg.Member.Name, "most", c.strangers, "from", conn.RemoteAddr().String())
		})
	}
	return true
}

// acquainted takes a connection out of the strangers.
func (s *Server) acquainted(h *held) {
	if h.stranger != nil {
		s.conns.unknown.Remove(h.stranger)
		h.stranger = nil
	}
}

// seat notes that somebody has said who they are. There is always room for a member.
func (s *Server) seat(conn net.Conn, role wire.Role) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.conns.all[conn]
	switch {
	case h == nil || s.closed:
		return ErrStopped
	case role == wire.Client && s.conns.served >= s.conns.clients:
		return fmt.Errorf("this member has %d clients, "+wire.Full+": let the callers of a process share one, or raise the member's limit of open files (ulimit -n, LimitNOFILE=)", s.conns.served)
	case role == wire.Client:
		h.client = true
		s.conns.served++
	}
	s.acquainted(h)
	return nil
}

// drop closes a connection.
func (s *Server) drop(conn net.Conn) {
	s.mu.Lock()
	if h := s.conns.all[conn]; h != nil {
		s.acquainted(h)
		if h.client {
			s.conns.served--
		}
		delete(s.conns.all, conn)
	}
	s.mu.Unlock()
	_ = conn.Close() // what was to be written was, or cannot be
}

// operators serves HTTP on connections that were accepted elsewhere.
type operators struct {
	http  *http.Server
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (o *operators) begin(s *Server) {
	o.conns, o.done = make(chan net.Conn), make(chan struct{})
	if s.cfg.Operate == nil {
		return
	}
	o.http = &http.Server{
		Handler:           s.cfg.Operate,
		ReadHeaderTimeout: helloTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHello,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
	}
	s.running.Go(func() { _ = o.http.Serve(o) }) // it ends with ErrServerClosed
}

// serve hands a connection over, and returns when it has been closed.
func (o *operators) serve(c net.Conn) {
	if o.http == nil {
		return
	}
	_ = c.SetDeadline(time.Time{})
	handed := &handedConn{Conn: c, closed: make(chan struct{})}
	select {
	case o.conns <- handed:
		<-handed.closed
	case <-o.done:
	}
}

func (o *operators) end() {
	if o.http != nil {
		_ = o.http.Close()
	}
	_ = o.Close()
}

// Accept, Close and Addr make it the http.Server's listener.
func (o *operators) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.done:
		return nil, net.ErrClosed
	}
}

func (o *operators) Close() error {
	o.once.Do(func() { close(o.done) })
	return nil
}

func (o *operators) Addr() net.Addr { return &net.TCPAddr{} }

// handedConn tells when it is closed.
type handedConn struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *handedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}
