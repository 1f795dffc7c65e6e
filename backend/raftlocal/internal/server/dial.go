package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// dial connects and introduces this member. The connection is held.
func (p *peer) dial(snapshot bool) (net.Conn, *wire.Reader, error) {
	ctx, cancel := context.WithTimeout(p.ctx, helloTimeout)
	defer cancel()
	conn, err := p.s.cfg.Network.Dial(ctx, p.to.Addr)
	if err != nil {
		return nil, nil, err
	}
	if !p.s.hold(conn) {
		_ = conn.Close()
		return nil, nil, ErrStopped
	}
	r, err := p.hello(conn, snapshot)
	if err != nil {
		p.s.drop(conn)
		return nil, nil, err
	}
	return conn, r, nil
}

func (p *peer) hello(conn net.Conn, snapshot bool) (*wire.Reader, error) {
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // an error shows at the next call
	own := p.s.cfg.Member
	b := wire.AppendHello([]byte(wire.Preface), wire.Hello{
		Version: wire.Version, Cluster: own.Cluster, Role: wire.Peer, Member: p.s.id, Name: own.Name, To: p.to.ID,
	})
	b, err := appendIntroduction(b, introduction{Life: p.s.life, Founding: p.s.founding, Addr: p.s.cfg.Addr, Snapshot: snapshot})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	r := wire.NewReader(conn)
	t, body, err := r.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it takes no members: it may be about to begin, or to end")
	case err != nil:
		return nil, err
	}
	switch t {
	case wire.TypeWelcome:
		_, err = wire.ParseWelcome(body)
	case wire.TypeRefusal:
		err = fmt.Errorf("it %w: %s", errRefused, wire.ParseRefusal(body))
	default:
		err = fmt.Errorf("%s is no member of a cluster: correct the addresses in peers=", p.to.Addr)
	}
	return r, err
}
