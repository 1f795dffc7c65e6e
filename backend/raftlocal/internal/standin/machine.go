package standin

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// machine is the lock state machine in its plainest form.
type machine struct {
	clock    int64
	last     uint64 // number, of whatever; token
	keys     map[string][]*place
	byNumber map[uint64]*place
	sessions map[uint64]*sitting
	ids      map[command.SessionID]uint64
	pushes   []command.Push
}

type sitting struct {
	ttl, deadline int64
	lowest        uint64
	replies       map[uint64]command.Reply
}

type place struct {
	number, session, token uint64
	key, owner, meta       string
	ttl                    time.Duration
	deadline               int64
}

func newMachine() *machine {
	return &machine{
		keys: map[string][]*place{}, byNumber: map[uint64]*place{},
		sessions: map[uint64]*sitting{}, ids: map[command.SessionID]uint64{},
	}
}

func (m *machine) next() uint64 {
	m.last++
	return m.last
}

func (m *machine) apply(stamp int64, cmds []command.Command) ([]command.Answer, []command.Push) {
	m.expire(stamp)
	var answers []command.Answer
	for _, c := range cmds {
		answers = append(answers, command.Answer{Session: c.Session, Seq: c.Seq, ID: c.ID, Reply: m.answer(c)})
	}
	pushes := m.pushes
	m.pushes = nil
	return answers, pushes
}

func (m *machine) answer(c command.Command) command.Reply {
	if c.Op == command.Open {
		n := m.ids[c.ID]
		if m.sessions[n] == nil {
			n = m.next()
			m.ids[c.ID] = n
			m.sessions[n] = &sitting{ttl: int64(c.TTL), deadline: m.clock + int64(c.TTL), replies: map[uint64]command.Reply{}}
		}
		return command.Reply{Code: command.OK, Number: n}
	}
	s := m.sessions[c.Session]
	if s == nil {
		return command.Reply{Code: command.SessionGone}
	}
	s.deadline = m.clock + s.ttl
	for ; s.lowest < c.Lowest; s.lowest++ {
		delete(s.replies, s.lowest)
	}
	if r, ok := s.replies[c.Seq]; ok {
		return r
	}
	if c.Seq < s.lowest {
		return command.Reply{Code: command.Done}
	}
	r := m.do(c)
	s.replies[c.Seq] = r
	return r
}

func (m *machine) do(c command.Command) command.Reply {
	switch c.Op {
	case command.Acquire:
		return m.acquire(c)
	case command.Release:
		p := m.find(c)
		if p == nil {
			return command.Reply{Code: command.NotHeld}
		}
		return m.remove(p)
	case command.Renew:
		r := command.Reply{Code: command.OK}
		for _, n := range c.Claims {
			r.Claims = append(r.Claims, m.renew(n, c.Session))
		}
		return r
	case command.Evict:
		q := m.keys[c.Key]
		if len(q) == 0 {
			return command.Reply{Code: command.NotHeld}
		}
		m.push(q[0], command.Evicted)
		return m.remove(q[0])
	case command.Open, command.Close, command.Nop, command.Inspect:
	}
	return command.Reply{Code: command.OK}
}

func (m *machine) find(c command.Command) *place {
	if len(c.Claims) > 0 {
		return m.byNumber[c.Claims[0]]
	}
	for _, p := range m.keys[c.Key] {
		if p.owner == c.Owner {
			return p
		}
	}
	return nil
}

func (m *machine) acquire(c command.Command) command.Reply {
	p := m.find(command.Command{Key: c.Key, Owner: c.Owner})
	switch {
	case p != nil:
		p.session = c.Session
		if p.token == 0 {
			p.deadline = m.clock + int64(p.ttl)
		}
	case len(m.keys[c.Key]) > 0 && !c.Wait:
		return command.Reply{Code: command.Held}
	default:
		p = &place{number: m.next(), session: c.Session, key: c.Key, owner: c.Owner, meta: c.Meta, ttl: c.TTL, deadline: m.clock + int64(c.TTL)}
		m.keys[c.Key] = append(m.keys[c.Key], p)
		m.byNumber[p.number] = p
		if m.keys[c.Key][0] == p {
			p.token = m.next()
		}
	}
	s := p.standing()
	return command.Reply{Code: s.Code, Number: p.number, Token: p.token}
}

func (p *place) standing() command.Claim {
	if p.token == 0 {
		return command.Claim{Number: p.number, Code: command.Waiting}
	}
	return command.Claim{Number: p.number, Code: command.Granted, Token: p.token}
}

func (m *machine) renew(n, session uint64) command.Claim {
	p := m.byNumber[n]
	if p == nil {
		return command.Claim{Number: n, Code: command.NotHeld}
	}
	p.session, p.deadline = session, m.clock+int64(p.ttl)
	return p.standing()
}

func (m *machine) push(p *place, code command.Code) {
	m.pushes = append(m.pushes, command.Push{Session: p.session, Claim: command.Claim{Number: p.number, Code: code, Token: p.token}})
}

func (m *machine) remove(p *place) command.Reply {
	delete(m.byNumber, p.number)
	q := slices.DeleteFunc(m.keys[p.key], func(x *place) bool { return x == p })
	if m.keys[p.key] = q; len(q) == 0 {
		delete(m.keys, p.key)
	}
	if p.token == 0 {
		return command.Reply{Code: command.NotHeld}
	}
	if len(q) > 0 {
		q[0].token, q[0].deadline = m.next(), m.clock+int64(q[0].ttl)
		m.push(q[0], command.Granted)
	}
	return command.Reply{Code: command.OK}
}

func (m *machine) expire(stamp int64) {
	m.clock = max(m.clock, stamp)
	for {
		var first *place
		for _, p := range m.byNumber {
			if p.deadline <= m.clock && (first == nil || p.deadline < first.deadline) {
				first = p
			}
		}
		if first == nil {
			break
		}
		m.push(first, command.Expired)
		m.remove(first)
	}
	for n, s := range m.sessions {
		if s.deadline <= m.clock {
			delete(m.sessions, n)
		}
	}
}

func (m *machine) nextDeadline() (at int64, ok bool) {
	for _, p := range m.byNumber {
		if !ok || p.deadline < at {
			at, ok = p.deadline, true
		}
	}
	return at, ok
}

func (m *machine) inspect(key string) command.Status {
	q := m.keys[key]
	if len(q) == 0 {
		return command.Status{}
	}
	return command.Status{
		Held: true, Owner: q[0].owner, Meta: q[0].meta, Token: q[0].token,
		Left: time.Duration(q[0].deadline - m.clock), Waiters: len(q) - 1,
	}
}

func (m *machine) busy(key, owner string) bool {
	return len(m.keys[key]) > 0 && m.find(command.Command{Key: key, Owner: owner}) == nil
}
