package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// operators serves HTTP on connections that were accepted elsewhere.
type operators struct {
	http  *http.Server
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (o *operators) begin(s *self) {
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
