package server

import (
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// outside is the server as its member sees it.
type outside Server

// Answer tells a client.
func (o *outside) Answer(c member.Conn, answers []command.Answer, pushes []command.Push) {
	if cl := o.loop.clients[c]; cl != nil {
		cl.tell(func(b []byte) []byte { return wire.AppendAnswers(b, answers, pushes) })
	}
}

// Dismiss sends a client away.
func (o *outside) Dismiss(c member.Conn, leader statemachine.Member) {
	if cl := o.loop.clients[c]; cl != nil {
		delete(o.loop.clients, c)
		cl.end(func(b []byte) []byte { return wire.AppendMoved(b, wire.Member(leader)) })
	}
}
