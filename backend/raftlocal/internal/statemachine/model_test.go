package statemachine

import (
	"cmp"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// model does what a Machine must do, with lists and loops: nothing is kept twice, and nothing
// is clever.
type model struct {
	clock               int64
	token, base, number uint64
	claims              []*modelClaim // in the order in which they came
	sessions            []*modelSession
	index               uint64
	pushes              []command.Push
}

type modelClaim struct {
	number, session, token uint64
	key, attemptID, meta   string
	ttl, deadline          int64
}

type modelSession struct {
	number        uint64
	name          command.SessionID
	ttl, deadline int64
	lowest        uint64
	replies       map[uint64]command.Reply
}

func (m *model) apply(index uint64, b command.Batch) (answers []command.Answer, pushes []command.Push) {
	m.index, m.pushes = index, nil
	m.clock = max(m.clock, b.Stamp)
	for {
		due := slices.DeleteFunc(slices.Clone(m.claims), func(c *modelClaim) bool { return c.deadline > m.clock })
		if len(due) == 0 {
			break
		}
		c := slices.MinFunc(due, func(a, b *modelClaim) int {
			return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.number, b.number))
		})
		m.push(c, command.Expired)
		m.remove(c)
	}
	m.sessions = slices.DeleteFunc(m.sessions, func(s *modelSession) bool { return s.deadline <= m.clock })
	for _, c := range b.Commands {
		answers = append(answers, command.Answer{Session: c.Session, Seq: c.Seq, ID: c.ID, Reply: m.command(c)})
	}
	return answers, m.pushes
}

func (m *model) command(c command.Command) command.Reply {
	if c.Op == command.Open {
		return m.open(c)
	}
	i := slices.IndexFunc(m.sessions, func(s *modelSession) bool { return s.number == c.Session })
	if i < 0 {
		return command.Reply{Code: command.SessionGone}
	}
	s := m.sessions[i]
	s.deadline = m.clock + s.ttl
	s.lowest = max(s.lowest, c.Lowest)
	if c.Seq < s.lowest {
		return command.Reply{Code: command.Done}
	}
	if was, ok := s.replies[c.Seq]; ok {
		return was
	}
	if c.Seq-s.lowest >= command.MaxOutstanding {
		return command.Reply{Code: command.Invalid}
	}
	r := m.carryOut(c)
	s.replies[c.Seq] = r
	return r
}

func (m *model) open(c command.Command) command.Reply {
	if c.ID == (command.SessionID{}) || c.TTL < 0 {
		return command.Reply{Code: command.Invalid}
	}
	for _, s := range m.sessions {
		if s.name == c.ID {
			s.deadline = m.clock + s.ttl
			return command.Reply{Code: command.OK, Number: s.number}
		}
	}
	ttl := int64(c.TTL)
	if ttl == 0 {
		ttl = 60e9
	}
	ttl = min(ttl, 24*3600e9)
	m.number++
	m.sessions = append(m.sessions, &modelSession{m.number, c.ID, ttl, m.clock + ttl, 1, map[uint64]command.Reply{}})
	return command.Reply{Code: command.OK, Number: m.number}
}

func (m *model) carryOut(c command.Command) command.Reply {
	held := func(yes bool) command.Reply {
		if yes {
			return command.Reply{Code: command.OK}
		}
		return command.Reply{Code: command.NotHeld}
	}
	switch {
	case c.Op == command.Nop:
		return command.Reply{Code: command.OK}
	case c.Op == command.Close:
		m.sessions = slices.DeleteFunc(m.sessions, func(s *modelSession) bool { return s.number == c.Session })
		return command.Reply{Code: command.OK}
	case c.Op == command.Acquire && goodKey(c.Key) && goodAttemptID(c.AttemptID) && len(c.Meta) <= 1024 && c.TTL > 0:
		return m.acquire(c)
	case c.Op == command.Renew && len(c.Claims) <= 1024:
		return m.renew(c)
	case c.Op == command.Release && len(c.Claims) == 1:
		return held(m.release(func(x *modelClaim) bool { return x.number == c.Claims[0] }))
	case c.Op == command.Release && len(c.Claims) == 0 && goodKey(c.Key) && goodAttemptID(c.AttemptID):
		return held(m.release(func(x *modelClaim) bool { return x.key == c.Key && x.attemptID == c.AttemptID }))
	case c.Op == command.Evict && goodKey(c.Key):
		for _, x := range m.claims {
			if x.key == c.Key && x.token != 0 {
				m.push(x, command.Evicted)
				m.remove(x)
				return held(true)
			}
		}
		return held(false)
	default:
		return command.Reply{Code: command.Invalid}
	}
}

func goodKey(s string) bool { return s != "" && len(s) <= command.MaxKey }

func goodAttemptID(s string) bool { return s != "" && len(s) <= 64 }

func (m *model) acquire(c command.Command) command.Reply {
	queue := m.queue(c.Key)
	for _, x := range queue {
		if x.attemptID == c.AttemptID {
			x.session = c.Session
			if x.token == 0 {
				x.deadline = m.clock + x.ttl
			}
			return command.Reply{Code: x.code(), Number: x.number, Token: x.token}
		}
	}
	if len(queue) > 0 && !c.Wait {
		return command.Reply{Code: command.Held}
	}
	m.number++
	x := &modelClaim{
		number: m.number, session: c.Session, key: c.Key, attemptID: c.AttemptID, meta: c.Meta,
		ttl: int64(c.TTL), deadline: m.clock + int64(c.TTL),
	}
	m.claims = append(m.claims, x)
	if len(queue) == 0 {
		m.grant(x)
	}
	return command.Reply{Code: x.code(), Number: x.number, Token: x.token}
}

func (m *model) renew(c command.Command) command.Reply {
	r := command.Reply{Code: command.OK}
	for _, n := range c.Claims {
		standing := command.Claim{Number: n, Code: command.NotHeld}
		for _, x := range m.claims {
			if x.number == n {
				x.session, x.deadline = c.Session, m.clock+x.ttl
				standing.Code, standing.Token = x.code(), x.token
			}
		}
		r.Claims = append(r.Claims, standing)
	}
	return r
}

func (m *model) release(which func(*modelClaim) bool) (held bool) {
	i := slices.IndexFunc(m.claims, which)
	if i < 0 {
		return false
	}
	held = m.claims[i].token != 0
	m.remove(m.claims[i])
	return held
}

func (m *model) remove(c *modelClaim) {
	m.claims = slices.DeleteFunc(m.claims, func(x *modelClaim) bool { return x == c })
	if queue := m.queue(c.key); c.token != 0 && len(queue) > 0 {
		m.grant(queue[0])
		m.push(queue[0], command.Granted)
	}
}

func (m *model) grant(c *modelClaim) {
	m.token = max(m.token+1, m.base+m.index)
	c.token, c.deadline = m.token, m.clock+c.ttl
}

func (m *model) queue(key string) []*modelClaim {
	return slices.DeleteFunc(slices.Clone(m.claims), func(c *modelClaim) bool { return c.key != key })
}

func (c *modelClaim) code() command.Code {
	if c.token != 0 {
		return command.Granted
	}
	return command.Waiting
}

func (m *model) push(c *modelClaim, code command.Code) {
	m.pushes = append(m.pushes, command.Push{Session: c.session, Claim: command.Claim{Number: c.number, Code: code, Token: c.token}})
}

func (m *model) raiseTokens(base uint64) {
	m.base = max(m.base, base)
	m.number = max(m.number, base)
}

// inspect returns what Inspect must.
func (m *model) inspect(key string) command.Status {
	queue := m.queue(key)
	if len(queue) == 0 {
		return command.Status{}
	}
	c := queue[0]
	return command.Status{
		Held: true, AttemptID: c.attemptID, Meta: c.meta, Token: c.token,
		Left: nanoseconds(c.deadline - m.clock), Waiters: len(queue) - 1,
	}
}

// stats returns what Stats must.
func (m *model) stats() Stats {
	s := Stats{Sessions: len(m.sessions), Claims: len(m.claims), LastToken: m.token, Clock: m.clock}
	for _, c := range m.claims {
		if c.token != 0 {
			s.Keys++
			s.LongestQueue = max(s.LongestQueue, len(m.queue(c.key))-1)
		}
	}
	s.Waiters = s.Claims - s.Keys
	return s
}

// next returns what NextDeadline must.
func (m *model) next() (at int64, ok bool) {
	var all []int64
	for _, c := range m.claims {
		all = append(all, c.deadline)
	}
	for _, s := range m.sessions {
		all = append(all, s.deadline)
	}
	if len(all) == 0 {
		return 0, false
	}
	return slices.Min(all), true
}
