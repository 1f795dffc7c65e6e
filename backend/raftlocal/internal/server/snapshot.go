package server

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// snapshot sends a message with a snapshot on a connection of its own, and reports whether it
// arrived. Each part has a time; the whole may take long.
func (p *peer) snapshot(msg *raftpb.Message) bool {
	err := p.sendSnapshot(msg)
	if err != nil && p.ctx.Err() == nil {
		p.s.logger.Warn("a snapshot did not arrive", "member", p.s.cfg.Member.Name, "peer", p.to.Name, "error", err)
	}
	return err == nil
}

func (p *peer) sendSnapshot(msg *raftpb.Message) error {
	whole, err := proto.Marshal(msg)
	if err != nil {
		return err
	}
	if len(whole) > wire.MaxSnapshot {
		return wire.ErrTooLong
	}
	conn, r, err := p.dial(true)
	if err != nil {
		return err
	}
	defer p.s.drop(conn)
	defer context.AfterFunc(p.ctx, func() { _ = conn.Close() })()
	const transfer = 1 // there is one on a connection
	var b []byte
	for at := 0; at < len(whole); at += wire.MaxPart {
		b = wire.AppendPart(b[:0], wire.Part{
			Transfer: transfer, Offset: uint64(at), Total: uint64(len(whole)),
			Data: whole[at:min(at+wire.MaxPart, len(whole))],
		})
		_ = conn.SetDeadline(time.Now().Add(writeTimeout)) // an error shows at the next call
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
	t, body, err := r.Next()
	if err != nil {
		return err
	}
	if n, err := wire.ParsePing(body); t != wire.TypePong || err != nil || n != transfer {
		return errors.New("it was not acknowledged")
	}
	return nil
}
