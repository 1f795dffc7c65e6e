package member

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// deliver tells answers and pushes to those who have the sessions.
func (m *Member) deliver(answers []command.Answer, pushes []command.Push) {
	cs := &m.clients
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
		m.out.Answer(cl.id, cl.answers, cl.pushes)
		cl.told, cl.answers, cl.pushes = false, cl.answers[:0], cl.pushes[:0]
		cs.told[i] = nil
	}
	cs.told = cs.told[:0]
}

// tell notes that a connection will be told something.
func (cs *clients) tell(cl *client) *client {
	if cl == nil || cl.gone {
		return nil
	}
	if !cl.told {
		cl.told = true
		cs.told = append(cs.told, cl)
	}
	return cl
}
