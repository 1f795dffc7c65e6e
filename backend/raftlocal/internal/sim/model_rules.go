package sim

import (
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func push(c *modelClaim, code command.Code) command.Push {
	return command.Push{Session: c.session, Claim: command.Claim{Number: c.number, Code: code, Token: c.token}}
}

// remove takes a claim out of its queue. If it held the key, the next does.
func (r *model) remove(index uint64, c *modelClaim) (due []command.Push) {
	q := r.queue(c.key)
	i := slices.Index(q.claims, c)
	q.claims = slices.Delete(q.claims, i, i+1)
	if i == 0 && len(q.claims) > 0 {
		r.handOffs++
		due = append(due, r.grant(index, q.claims[0], command.Granted, commandID{}))
	}
	return due
}

func (r *model) grant(index uint64, c *modelClaim, code command.Code, by commandID) command.Push {
	r.token = max(r.token+1, r.base+index)
	c.token, c.deadline, c.by = r.token, r.clock+int64(c.ttl), by
	return push(c, code)
}

// command carries one out, or finds what it was answered before.
func (r *model) command(index uint64, cmd *command.Command, got *command.Reply) (want command.Reply, due []command.Push) {
	if cmd.Op == command.Open {
		return r.open(cmd, got), nil
	}
	s := r.modelSession(cmd.Session)
	if s == nil {
		return command.Reply{Code: command.SessionGone}, nil
	}
	s.deadline = r.clock + int64(s.ttl)
	s.lowest = max(s.lowest, cmd.Lowest)
	if cmd.Seq < s.lowest {
		return command.Reply{Code: command.Done}, nil
	}
	if before, ok := s.replies[cmd.Seq]; ok {
		return before, nil
	}
	want, due = r.carryOut(index, s, cmd, got)
	want.Claims = slices.Clone(want.Claims)
	s.replies[cmd.Seq] = want
	return want, due
}

func (r *model) open(cmd *command.Command, got *command.Reply) command.Reply {
	for _, s := range r.sessions {
		if s.id == cmd.ID {
			s.deadline = r.clock + int64(s.ttl)
			return command.Reply{Code: command.OK, Number: s.number}
		}
	}
	if got.Number == 0 || r.modelSession(got.Number) != nil {
		r.fail("a session got the number %d", got.Number)
	}
	r.sessions = append(r.sessions, &modelSession{
		number: got.Number, id: cmd.ID, ttl: cmd.TTL, deadline: r.clock + int64(cmd.TTL),
		replies: map[uint64]command.Reply{},
	})
	return command.Reply{Code: command.OK, Number: got.Number}
}

func (r *model) carryOut(index uint64, s *modelSession, cmd *command.Command, got *command.Reply) (command.Reply, []command.Push) {
	by := commandID{cmd.Session, cmd.Seq}
	switch cmd.Op {
	case command.Nop:
		return command.Reply{Code: command.OK}, nil
	case command.Close:
		r.sessions = slices.DeleteFunc(r.sessions, func(o *modelSession) bool { return o == s })
		return command.Reply{Code: command.OK}, nil
	case command.Acquire:
		return r.acquire(index, by, cmd, got), nil
	case command.Renew:
		return r.renew(by, cmd.Claims), nil
	case command.Release:
		c := r.owned(cmd.Key, cmd.AttemptID)
		if len(cmd.Claims) > 0 {
			c = r.claim(cmd.Claims[0])
		}
		if c == nil {
			return command.Reply{Code: command.NotHeld}, nil
		}
		if c.token == 0 {
			return command.Reply{Code: command.NotHeld}, r.remove(index, c)
		}
		return command.Reply{Code: command.OK}, r.remove(index, c)
	case command.Evict:
		q := r.queue(cmd.Key)
		if len(q.claims) == 0 {
			return command.Reply{Code: command.NotHeld}, nil
		}
		out := []command.Push{push(q.claims[0], command.Evicted)}
		return command.Reply{Code: command.OK}, append(out, r.remove(index, q.claims[0])...)
	default:
		r.fail("index %d: %v stands in the log", index, cmd.Op)
		return command.Reply{}, nil
	}
}

func (r *model) acquire(index uint64, by commandID, cmd *command.Command, got *command.Reply) command.Reply {
	if c := r.owned(cmd.Key, cmd.AttemptID); c != nil {
		c.session = by.session
		if c.token == 0 {
			c.deadline, c.by = r.clock+int64(c.ttl), by
		}
		return standing(c)
	}
	q := r.queue(cmd.Key)
	if len(q.claims) > 0 && !cmd.Wait {
		return command.Reply{Code: command.Held}
	}
	if got.Number <= r.number {
		r.fail("index %d: a claim got the number %d, and %d was given before", index, got.Number, r.number)
	}
	r.number = got.Number
	r.claimed(cmd.AttemptID)
	c := &modelClaim{
		number: got.Number, session: by.session, key: cmd.Key, attemptID: cmd.AttemptID, meta: cmd.Meta,
		ttl: cmd.TTL, deadline: r.clock + int64(cmd.TTL), by: by,
	}
	q.claims = append(q.claims, c)
	if len(q.claims) == 1 {
		r.grant(index, c, command.Granted, by)
	}
	return standing(c)
}

func standing(c *modelClaim) command.Reply {
	code := command.Granted
	if c.token == 0 {
		code = command.Waiting
	}
	return command.Reply{Code: code, Number: c.number, Token: c.token}
}

func (r *model) renew(by commandID, numbers []uint64) command.Reply {
	var out command.Reply
	out.Code = command.OK
	for _, n := range numbers {
		c := r.claim(n)
		if c == nil {
			out.Claims = append(out.Claims, command.Claim{Number: n, Code: command.NotHeld})
			continue
		}
		c.deadline, c.session, c.by = r.clock+int64(c.ttl), by.session, by
		s := standing(c)
		out.Claims = append(out.Claims, command.Claim{Number: n, Code: s.Code, Token: s.Token})
	}
	return out
}

func sameReply(a, b command.Reply) bool {
	return a.Code == b.Code && a.Number == b.Number && a.Token == b.Token && a.Status == b.Status && slices.Equal(a.Claims, b.Claims)
}
