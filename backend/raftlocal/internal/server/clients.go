package server

import (
	"net"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// maxTogether is how many commands of one connection are passed on at once.
const maxTogether = 4096

// clients are those that are served.
type clients struct {
	*self
	conns *conns
	inbox *inbox

	byConn map[member.Conn]*client // of the loop

	mu     sync.Mutex
	served map[*client]struct{}
	voided error // why nothing counts any more that was granted: see void
}

// serve reads commands until the connection ends.
func (cs *clients) serve(c, raw net.Conn, r *wire.Reader, number member.Conn) {
	cl := &client{conn: c, wake: make(chan struct{}, 1)}
	cs.conns.linger(raw)
	_ = c.SetDeadline(time.Time{}) // an error shows at the next call
	written := make(chan struct{})
	go func() {
		defer close(written)
		cl.write()
	}()
	cl.tell(func(b []byte) []byte { return append(b, cs.clientGreeting()...) })
	cs.admit(cl)
	defer cs.dismissed(cl)
	cs.inbox.fromClient(1, func(m *member.Member) {
		cs.byConn[number] = cl
		m.Clients.Attach(number, 0)
	})
	cs.read(cl, r, number)
	cs.inbox.fromClient(0, func(m *member.Member) {
		delete(cs.byConn, number)
		m.Clients.Detach(number)
	})
	cl.end(nil)
	<-written
}

// read passes on what a client sends: all that is there at once.
func (cs *clients) read(cl *client, r *wire.Reader, number member.Conn) {
	var cmds []command.Command
	weight := 0
	for {
		t, body, err := r.Next()
		if err != nil {
			return
		}
		switch t {
		case wire.TypeCommands:
			if cmds, err = wire.ParseCommands(body, cmds); err != nil {
				cl.end(func(b []byte) []byte { return wire.AppendRefusal(b, err.Error()) })
				return
			}
			weight += len(body)
		case wire.TypeResume:
			session, err := wire.ParseResume(body)
			if err != nil {
				return
			}
			cs.inbox.fromClient(1, func(m *member.Member) { m.Clients.Attach(number, session) })
		case wire.TypePing:
			n, err := wire.ParsePing(body)
			if err != nil {
				return
			}
			cl.tell(func(b []byte) []byte { return wire.AppendPong(b, n) })
		default:
			cl.end(func(b []byte) []byte { return wire.AppendRefusal(b, "a client does not say "+t.String()) })
			return
		}
		if len(cmds) == 0 || r.More() && len(cmds) < maxTogether {
			continue
		}
		together := cmds
		cs.inbox.fromClient(weight, func(m *member.Member) { m.Clients.Submit(number, together) })
		cmds, weight = make([]command.Command, 0, min(2*len(cmds), maxTogether)), 0
	}
}

// Answer tells a client.
func (cs *clients) Answer(c member.Conn, answers []command.Answer, pushes []command.Push) {
	if cl := cs.byConn[c]; cl != nil {
		cl.tell(func(b []byte) []byte { return wire.AppendAnswers(b, answers, pushes) })
	}
}

// Redirect sends a client away.
func (cs *clients) Redirect(c member.Conn, leader statemachine.Member) {
	if cl := cs.byConn[c]; cl != nil {
		delete(cs.byConn, c)
		cl.end(func(b []byte) []byte { return wire.AppendMoved(b, wire.Member(leader)) })
	}
}

// void tells all clients that nothing that was granted counts any more. It is so only where this
// member is the whole cluster: others have what it has.
func (cs *clients) void(why error) {
	if role := cs.role.Load(); role == nil || len(role.members) != 1 {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.voided = why
	for cl := range cs.served {
		cl.end(voiding(why))
	}
}

// voidedBy is why nothing counts any more that was granted, or nil.
func (cs *clients) voidedBy() error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.voided
}

// voiding tells one client.
func voiding(why error) func([]byte) []byte {
	return func(b []byte) []byte { return wire.AppendVoid(b, why.Error()) }
}

// admit notes a client, so that it is told of what void has to tell.
func (cs *clients) admit(cl *client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.served[cl] = struct{}{}
	if cs.voided != nil {
		cl.end(voiding(cs.voided))
	}
}

func (cs *clients) dismissed(cl *client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.served, cl)
}

// sendAway sends all clients to look for the leader.
func (cs *clients) sendAway() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for cl := range cs.served {
		cl.end(func(b []byte) []byte { return wire.AppendMoved(b, wire.Member{}) })
	}
}

// tell tells all clients what keeps this member from serving; empty when that is over.
func (cs *clients) tell(trouble string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for cl := range cs.served {
		cl.tell(func(b []byte) []byte { return wire.AppendTrouble(b, trouble) })
	}
}
