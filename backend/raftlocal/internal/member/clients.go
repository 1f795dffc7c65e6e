package member

import (
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// maxSessions is how many sessions a connection has at once: a client has one, and for a moment
// the one before.
const maxSessions = 8

// client is a connection.
type client struct {
	id       Conn
	sessions []uint64 // those it has, the oldest first
	released uint64   // the highest number of a release by attempt that came on it
	gone     bool     // detached: what it sent is still carried out, but not answered

	// What it is told after the entry that is being applied.
	told    bool
	answers []command.Answer
	pushes  []command.Push
}

// Clients is the member as the connections of its clients have it: what they ask comes in here, and what
// they are told goes out. It knows which connection has which session.
type Clients struct {
	out       Callbacks
	consensus *consensus
	state     *state
	transfer  *transfer

	pending pending
	reads   reads

	byConn    map[Conn]*client
	bySession map[uint64]*client
	opening   map[command.SessionID]*client // who waits for the number of a session
	told      []*client
}

// Attach tells of a new connection, with the number of the session that it names, or 0. A member
// that does not lead redirects it at once.
func (cs *Clients) Attach(c Conn, session uint64) {
	if cs.consensus.err != nil || !cs.consensus.leading {
		cs.out.Redirect(c, cs.transfer.elsewhere())
		return
	}
	cl := cs.byConn[c]
	if cl == nil {
		cl = &client{id: c}
		cs.byConn[c] = cl
	}
	if session != 0 {
		cs.give(session, cl)
	}
}

// Detach tells that a connection has ended. What it has sent is carried out all the same, if
// its session does not come back on another first: nobody waits for an answer on this one.
func (cs *Clients) Detach(c Conn) {
	if cl := cs.byConn[c]; cl != nil {
		cs.forget(cl)
	}
}

// give makes a session the connection's, unless one that was accepted later has it.
func (cs *Clients) give(session uint64, to *client) {
	if has := cs.bySession[session]; has != nil {
		if has.id >= to.id {
			return
		}
		has.sessions = slices.DeleteFunc(has.sessions, func(s uint64) bool { return s == session })
	}
	if len(to.sessions) == maxSessions {
		delete(cs.bySession, to.sessions[0])
		to.sessions = slices.Delete(to.sessions, 0, 1)
	}
	cs.bySession[session] = to
	to.sessions = append(to.sessions, session)
}

// expect notes that a connection waits for a session to be opened.
func (cs *Clients) expect(id command.SessionID, by *client) {
	if has := cs.opening[id]; has == nil || has.id < by.id {
		cs.opening[id] = by
	}
}

func (cs *Clients) forget(cl *client) {
	cl.gone = true
	delete(cs.byConn, cl.id)
	for _, s := range cl.sessions {
		delete(cs.bySession, s)
	}
	cl.sessions = nil
}

// has reports whether a session is the connection's.
func (cl *client) has(session uint64) bool {
	// Mostly there is one.
	return len(cl.sessions) > 0 && cl.sessions[len(cl.sessions)-1] == session || slices.Contains(cl.sessions, session)
}

// stale reports whether a command that a connection has sent is void because its session has
// come on another since, where the client sends it again.
func (cs *Clients) stale(cl *client, cmd *command.Command) bool {
	if cmd.Op == command.Open {
		return cs.opening[cmd.ID] != cl
	}
	has := cs.bySession[cmd.Session]
	return has != cl && (has != nil || !cl.gone)
}

// Busy reports whether more than half of what may wait is waiting. The goroutines that read connections
// should stop until it does not, so that clients wait in their own memory. What goes on sending
// is redirected when nothing more may wait: a reply would be taken for the command's outcome,
// and it has none; the client comes back, later, and sends it again.
func (cs *Clients) Busy() bool {
	p, r := &cs.pending, &cs.reads
	return 2*(len(p.commands)+r.waiting) >= maxPending || 2*(p.bytes+r.bytes) >= maxPendingBytes
}

// Submit takes commands of a connection. They are copied, but not what they point to. Those of
// a session that is not the connection's are dropped: they are old. One that breaks a limit is
// refused at once, as the state machine would. What a connection that is not
// attached sends is ignored.
func (cs *Clients) Submit(c Conn, cmds []command.Command) {
	cl := cs.byConn[c]
	if cs.consensus.err != nil || cl == nil {
		return
	}
	for i := range cmds {
		cmd := &cmds[i]
		if cmd.Op != command.Open && !cl.has(cmd.Session) {
			continue
		}
		if !cmd.Valid() || cost(cmd) > maxBatch/2 {
			cs.out.Answer(c, []command.Answer{{Session: cmd.Session, Seq: cmd.Seq, ID: cmd.ID, Reply: command.Reply{Code: command.Invalid}}}, nil)
			continue
		}
		if cs.pending.full() || cs.reads.full() {
			cs.redirect(cl, cs.state.member(cs.state.id))
			return
		}
		if cmd.Op == command.Open {
			cs.expect(cmd.ID, cl)
		}
		if cmd.Op == command.Release && len(cmd.Claims) == 0 {
			cl.released = max(cl.released, cmd.Seq)
		}
		cs.pending.add(cmd, cl)
	}
}

// deliver tells answers and pushes to those who have the sessions.
func (cs *Clients) deliver(answers []command.Answer, pushes []command.Push) {
	if len(cs.byConn) == 0 && len(cs.opening) == 0 {
		return
	}
	for i := range answers {
		a := &answers[i]
		cl := cs.bySession[a.Session]
		if a.Session == 0 {
			if cl = cs.opening[a.ID]; cl == nil {
				continue
			}
			delete(cs.opening, a.ID)
			if a.Reply.Code == command.OK && !cl.gone {
				cs.give(a.Reply.Number, cl)
			}
		}
		if cl = cs.tell(cl); cl != nil {
			cl.answers = append(cl.answers, *a)
		}
	}
	for i := range pushes {
		if cl := cs.tell(cs.bySession[pushes[i].Session]); cl != nil {
			cl.pushes = append(cl.pushes, pushes[i])
		}
	}
	for i, cl := range cs.told {
		cs.out.Answer(cl.id, cl.answers, cl.pushes)
		cl.told, cl.answers, cl.pushes = false, cl.answers[:0], cl.pushes[:0]
		cs.told[i] = nil
	}
	cs.told = cs.told[:0]
}

// tell notes that a connection will be told something.
func (cs *Clients) tell(cl *client) *client {
	if cl == nil || cl.gone {
		return nil
	}
	if !cl.told {
		cl.told = true
		cs.told = append(cs.told, cl)
	}
	return cl
}

// redirect sends one client away.
func (cs *Clients) redirect(cl *client, to statemachine.Member) {
	cs.forget(cl)
	cs.out.Redirect(cl.id, to)
}

// redirectAll sends all clients away, in the order of their numbers, and forgets what they asked.
func (cs *Clients) redirectAll() {
	all := make([]Conn, 0, len(cs.byConn))
	for c := range cs.byConn {
		all = append(all, c)
	}
	slices.Sort(all)
	leader := cs.transfer.elsewhere()
	for _, c := range all {
		cs.redirect(cs.byConn[c], leader)
	}
	clear(cs.opening)
	cs.pending.drop()
	cs.reads.drop()
}
