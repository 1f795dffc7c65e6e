package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// greet connects to a member and says who we are. The link is nil if it does not lead; says is what
// keeps it from that, if it has told.
func (s *search) greet(ctx context.Context, addr string, timeout time.Duration) (l *link, w wire.Welcome, says string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errSilent)
	defer cancel()
	conn, err := s.client.cfg.Dial(ctx, addr)
	if err != nil {
		return nil, wire.Welcome{}, "", network.Plain(err, errSilent.Error())
	}
	// A connection has no context: it is closed when the time is over.
	unhook := afterDone(ctx, func() { provoke(ctx, conn) })
	g := &greeting{Conn: conn}
	reader, w, err := hello(g, s.client.cfg.Cluster)
	if err == nil && w.Leader.ID != w.Member && reader.More() {
		// It comes with the answer, or not at all.
		if t, body, told := reader.Next(); told == nil && t == wire.TypeTrouble {
			says = wire.ParseRefusal(body)
		}
	}
	if !unhook() && err == nil {
		err = errSilent // it is closed, or about to be
	}
	if err != nil && !refusing(err) {
		err = g.explain(err)
	}
	if err != nil || w.Leader.ID == 0 || w.Leader.ID != w.Member {
		_ = conn.Close()
		return nil, w, says, err
	}
	return &link{
		conn: conn, reader: reader, addr: addr, name: w.Name,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}, w, "", nil
}

// hello says who we are, and reads the answer.
func hello(conn net.Conn, cluster string) (*wire.Reader, wire.Welcome, error) {
	h := wire.Hello{Version: wire.Version, Cluster: cluster, Role: wire.Client}
	if _, err := conn.Write(wire.AppendHello([]byte(wire.Preface), h)); err != nil {
		return nil, wire.Welcome{}, err
	}
	reader := wire.NewReader(conn)
	t, body, err := reader.Next()
	switch {
	case err != nil:
		return nil, wire.Welcome{}, err
	case t == wire.TypeRefusal:
		return nil, wire.Welcome{}, &refusal{wire.ParseRefusal(body)}
	case t != wire.TypeWelcome:
		return nil, wire.Welcome{}, fmt.Errorf("%w: it answers with %v: is it a member of a cluster of fencelock?", wire.ErrMalformed, t)
	}
	w, err := wire.ParseWelcome(body)
	return reader, w, err
}

// greeting is a connection whose first bytes are kept, until it is known that a member answers.
type greeting struct {
	net.Conn
	head []byte
}

// maxHead is how many are kept.
const maxHead = 16

func (g *greeting) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if room := maxHead - len(g.head); room > 0 {
		g.head = append(g.head, p[:min(n, room)]...)
	}
	return n, err
}

// provoking is how long it is waited for what somebody says who has said nothing so far.
const provoking = 200 * time.Millisecond

// provoke ends a connection whose time is over. Many who are no members wait for the end of a line: they
// get one, and a moment to say who they are.
func provoke(ctx context.Context, conn net.Conn) {
	if !errors.Is(context.Cause(ctx), errSilent) {
		_ = conn.Close()
		return
	}
	time.AfterFunc(provoking, func() { _ = conn.Close() })
	_, _ = conn.Write([]byte("\r\n\r\n")) // until it is closed, at the latest
}

// explain says why there is no answer, and who it is that answers and is no member.
func (g *greeting) explain(err error) error {
	switch {
	case len(g.head) > 0 && !g.member():
		return stranger(g.head)
	case errors.Is(err, net.ErrClosed): // by us
		return network.Plain(context.DeadlineExceeded, network.Mute)
	}
	return network.Plain(err, network.Mute)
}

// member reports whether what was read begins as a frame of a member does.
func (g *greeting) member() bool {
	return len(g.head) > 4 && g.head[0] == 0 && (g.head[4] == byte(wire.TypeWelcome) || g.head[4] == byte(wire.TypeRefusal))
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
