package client

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// greet connects to a member and says who we are. The link is nil if it does not lead.
func (c *Client) greet(ctx context.Context, addr string, timeout time.Duration) (*link, wire.Welcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errSilent)
	defer cancel()
	conn, err := c.cfg.Dial(ctx, addr)
	if err != nil {
		return nil, wire.Welcome{}, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	// A connection has no context: it is closed when the time is over.
	unhook := afterDone(ctx, func() { _ = conn.Close() })
	reader, w, err := c.hello(conn, addr)
	if !unhook() && err == nil {
		err = context.Cause(ctx) // it is closed, or about to be
	}
	if err != nil || w.Leader.ID == 0 || w.Leader.ID != w.Member {
		_ = conn.Close()
		return nil, w, err
	}
	return &link{
		conn: conn, reader: reader, addr: addr, name: w.Name,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}, w, nil
}

func (c *Client) hello(conn net.Conn, addr string) (*wire.Reader, wire.Welcome, error) {
	h := wire.Hello{Version: wire.Version, Cluster: c.cfg.Cluster, Role: wire.Client}
	if _, err := conn.Write(wire.AppendHello([]byte(wire.Preface), h)); err != nil {
		return nil, wire.Welcome{}, fmt.Errorf("greeting %s: %w", addr, err)
	}
	reader := wire.NewReader(conn)
	t, body, err := reader.Next()
	switch {
	case err != nil:
		return nil, wire.Welcome{}, fmt.Errorf("greeting %s: %w", addr, err)
	case t == wire.TypeRefusal:
		return nil, wire.Welcome{}, &refusal{addr, wire.ParseRefusal(body)}
	case t != wire.TypeWelcome:
		return nil, wire.Welcome{}, fmt.Errorf("greeting %s: %w: it answers with %v: is it a member of a cluster?", addr, wire.ErrMalformed, t)
	}
	w, err := wire.ParseWelcome(body)
	if err != nil {
		return nil, wire.Welcome{}, fmt.Errorf("greeting %s: %w", addr, err)
	}
	return reader, w, nil
}

// afterDone calls f when ctx is done, unless it is unhooked before: unhook reports whether
// f was not and will not be called, and does not return while it is.
func afterDone(ctx context.Context, f func()) (unhook func() bool) {
	called := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { f(); close(called) })
	return func() bool {
		if stop() {
			return true
		}
		<-called
		return false
	}
}
