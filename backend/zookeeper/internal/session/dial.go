package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/fencelock/fencelock/driver/address"
)

const (
	// headStart is how long a server has to accept a connection before the next one is tried
	// beside it.
	headStart = 100 * time.Millisecond

	// firstAnswer is how long a server that has accepted a connection may take to accept a
	// session, where there are others to ask. The next time it has twice as much.
	firstAnswer = 300 * time.Millisecond
)

// dialResult is a connection that a server has accepted, or the reason why it has not.
type dialResult struct {
	addr string
	conn net.Conn
	took time.Duration
	err  error
}

// dialFirst connects to the first server that accepts a connection, TLS included. addrs is in the
// order of preference. A server that is silent, such as a machine that is gone, delays the next
// one by headStart; one that refuses does not delay it. Connections that come too late are
// closed.
//
// Only one of the connections asks for a session. A session that continues would be moved to the
// server that is asked last, and its requests on the other connection be refused.
func dialFirst(ctx context.Context, addrs []string, certificates *address.Certificates, failed func(addr string)) (dialResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialResult, len(addrs))
	underway := 0
	begin := func() {
		addr := addrs[0]
		addrs = addrs[1:]
		underway++
		go func() { results <- dialOne(ctx, addr, certificates) }()
	}
	begin()
	next := time.NewTicker(headStart)
	defer next.Stop()
	var why []error
	for underway > 0 {
		select {
		case <-next.C:
			if len(addrs) > 0 {
				begin()
			}
		case r := <-results:
			underway--
			if r.err == nil {
				go closeLate(results, underway) // ctx ends them
				return r, nil
			}
			if !errors.Is(ctx.Err(), context.Canceled) { // else nobody wants the connection any more
				failed(r.addr)
			}
			why = append(why, withServerName(r.addr, r.err))
			if len(addrs) > 0 {
				next.Reset(headStart)
				begin()
			}
		}
	}
	return dialResult{}, joinErrors(why)
}

func closeLate(results <-chan dialResult, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			_ = r.conn.Close()
		}
	}
}

func dialOne(ctx context.Context, addr string, certificates *address.Certificates) dialResult {
	began := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil && certificates != nil {
		c, err = secure(ctx, c, addr, certificates)
	}
	return dialResult{addr, c, time.Since(began), err}
}

func secure(ctx context.Context, c net.Conn, addr string, certificates *address.Certificates) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	s := tls.Client(c, certificates.Config(host))
	if err := s.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		var plain tls.RecordHeaderError
		if errors.Is(err, io.EOF) || errors.As(err, &plain) {
			return nil, fmt.Errorf("TLS: %w; is it a port without TLS?", err)
		}
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return s, nil
}
