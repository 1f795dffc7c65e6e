package fakemember

import (
	"io"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

func (m *Member) accept(e *end) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	c := &conn{end: e}
	m.conns[c] = struct{}{}
	m.running.Go(func() {
		m.serve(c)
		_ = c.Close()
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.conns, c)
	})
	return true
}

func (c *conn) tell(frames []byte) {
	if !c.dead && len(frames) > 0 {
		_, _ = c.Write(frames) // who is gone hears nothing
	}
}

func (m *Member) serve(c *conn) {
	var preface [len(wire.Preface)]byte
	if _, err := io.ReadFull(c, preface[:]); err != nil || string(preface[:]) != wire.Preface {
		return
	}
	r := wire.NewReader(c)
	t, body, err := r.Next()
	if err != nil || t != wire.TypeHello {
		return
	}
	if _, err := wire.ParseHello(body); err != nil || !m.greet(c) {
		return
	}
	var cmds []command.Command
	for {
		t, body, err := r.Next()
		if err != nil {
			return
		}
		switch t {
		case wire.TypeResume:
			session, _ := wire.ParseResume(body)
			m.mu.Lock()
			if !c.dead {
				m.attached[session] = c
			}
			m.mu.Unlock()
		case wire.TypePing:
			n, _ := wire.ParsePing(body)
			m.mu.Lock()
			if m.mood != Silent {
				c.tell(wire.AppendPong(nil, n))
			}
			m.mu.Unlock()
		case wire.TypeCommands:
			if cmds, err = wire.ParseCommands(body, cmds); err != nil {
				return
			}
		default:
			return
		}
		if r.More() {
			continue
		}
		m.submit(c, cmds)
		cmds = cmds[:0]
	}
}

func (m *Member) greet(c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.mood == Silent:
		return true
	case m.refusal != "":
		c.tell(wire.AppendRefusal(nil, m.refusal))
		return false
	case m.Welcome.Leader.ID != m.Welcome.Member:
		c.tell(wire.AppendMoved(wire.AppendWelcome(nil, m.Welcome), m.Welcome.Leader))
		return false
	}
	c.tell(wire.AppendWelcome(nil, m.Welcome))
	return true
}

// submit carries out what is a connection's to ask.
func (m *Member) submit(c *conn, cmds []command.Command) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.dead || m.mood == Mute || m.mood == Silent {
		return
	}
	var answers []command.Answer
	var batch []command.Command
	lost := false
	for _, cmd := range cmds {
		if m.Seen != nil {
			m.Seen(cmd)
		}
		if cmd.Op != command.Open && m.attached[cmd.Session] != c {
			continue
		}
		lost = lost || m.Lose != nil && m.Lose(cmd)
		if r, ok := m.state.read(cmd); ok {
			answers = append(answers, command.Answer{Session: cmd.Session, Seq: cmd.Seq, Reply: r})
			continue
		}
		batch = append(batch, cmd)
	}
	if len(batch) > 0 {
		m.apply(c, batch, lost)
	}
	if lost {
		c.dead = true
		_ = c.Close()
		return
	}
	m.deliver(answers, nil)
}

// apply is the log.
func (m *Member) apply(c *conn, cmds []command.Command, lost bool) {
	answers, pushes := m.state.apply(cmds)
	for _, a := range answers {
		if a.Session == 0 && c != nil {
			m.attached[a.Reply.Number] = c
			if !lost {
				c.tell(wire.AppendAnswers(nil, []command.Answer{a}, nil))
			}
		}
	}
	if lost {
		// The client on this connection hears nothing more.
		c.dead = true
	}
	m.deliver(answers, pushes)
	m.setTimer()
}

// deliver tells each who has a session.
func (m *Member) deliver(answers []command.Answer, pushes []command.Push) {
	for len(answers) > 0 {
		n := 1
		for n < len(answers) && answers[n].Session == answers[0].Session {
			n++
		}
		if c := m.attached[answers[0].Session]; c != nil {
			c.tell(wire.AppendAnswers(nil, answers[:n], nil))
		}
		answers = answers[n:]
	}
	if m.mood == Forgetful {
		return
	}
	for i := range pushes {
		if c := m.attached[pushes[i].Session]; c != nil {
			c.tell(wire.AppendAnswers(nil, nil, pushes[i:i+1]))
		}
	}
}

func (m *Member) stopTimer() {
	if m.timer != nil && m.timer.Stop() {
		m.running.Done()
	}
	m.timer = nil
}

// setTimer makes claims end when their time is over.
func (m *Member) setTimer() {
	m.stopTimer()
	left, ok := m.state.next()
	if !ok || m.closed {
		return
	}
	m.running.Add(1)
	m.timer = time.AfterFunc(left, func() {
		defer m.running.Done()
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.timer = nil; !m.closed {
			m.apply(nil, nil, false)
		}
	})
}
