package statemachine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// promises knows nothing of how the machine works, only what it has promised: it looks at
// entries and outcomes from outside.
type promises struct {
	clock    int64
	token    uint64
	tokens   map[uint64]bool
	number   uint64               // the greatest of any claim
	claims   map[uint64]*promised // by number, those that are not over
	answered map[address]command.Reply
	evicted  map[uint64]bool // by the entry, which shows in the pushes only
}

type address struct{ session, seq uint64 }

type promised struct {
	number         uint64
	key, attemptID string
	ttl            int64
	until          int64 // it does not end before, unless somebody ends it
	token          uint64
	over           bool
}

func newPromises() *promises {
	return &promises{
		tokens: map[uint64]bool{}, claims: map[uint64]*promised{},
		answered: map[address]command.Reply{}, evicted: map[uint64]bool{},
	}
}

func (p *promises) entry(b command.Batch, out Outcome) error {
	p.clock = max(p.clock, b.Stamp)
	clear(p.evicted)
	for _, x := range out.Pushes {
		switch c := p.claims[x.Claim.Number]; x.Claim.Code {
		case command.Expired:
			if c == nil || c.over || p.clock < c.until {
				return fmt.Errorf("claim %+v has expired at %d", c, p.clock)
			}
			c.over = true
		case command.Evicted:
			p.evicted[x.Claim.Number] = true
		}
	}
	before, last := p.token, p.token
	for i, a := range out.Answers {
		if err := p.answer(&b.Commands[i], a, &last); err != nil {
			return fmt.Errorf("%+v to %+v: %w", a, b.Commands[i], err)
		}
	}
	last = before
	for _, x := range out.Pushes {
		c := p.claims[x.Claim.Number]
		switch x.Claim.Code {
		case command.Evicted:
			c.over = true
		case command.Granted:
			if c == nil || c.token != 0 {
				return fmt.Errorf("%+v is granted again, by %+v", c, x)
			}
			if err := p.grant(c, x.Claim.Token, &last); err != nil {
				return err
			}
		}
	}
	return p.queues()
}

// grant notes a grant. The tokens of answers rise, and those of pushes; which came first, an answer
// or a push of the same entry, cannot be seen from here.
func (p *promises) grant(c *promised, token uint64, last *uint64) error {
	if token <= *last {
		return fmt.Errorf("%+v is granted with token %d, after %d", c, token, *last)
	}
	if p.tokens[token] {
		return fmt.Errorf("%+v is granted with token %d, which was another's", c, token)
	}
	p.tokens[token] = true
	*last = token
	p.token = max(p.token, token)
	c.token, c.until = token, p.clock+c.ttl
	return nil
}

func (p *promises) answer(cmd *command.Command, a command.Answer, last *uint64) error {
	switch a.Reply.Code {
	case command.SessionGone, command.Done, command.Invalid:
		return nil
	}
	if cmd.Op == command.Open {
		return nil
	}
	at := address{cmd.Session, cmd.Seq}
	if was, ok := p.answered[at]; ok {
		if !same(was, a.Reply) {
			return fmt.Errorf("it was answered %+v before", was)
		}
		return nil
	}
	p.answered[at] = a.Reply
	switch cmd.Op {
	case command.Acquire:
		return p.acquired(cmd, a.Reply, last)
	case command.Release:
		for _, c := range p.claims {
			if !c.over && (len(cmd.Claims) == 1 && c.number == cmd.Claims[0] || len(cmd.Claims) == 0 && c.key == cmd.Key && c.attemptID == cmd.AttemptID) {
				c.over = true
			}
		}
	case command.Renew:
		for _, x := range a.Reply.Claims {
			c := p.claims[x.Number]
			switch {
			case x.Code == command.NotHeld:
				if c != nil && !c.over && !p.evicted[x.Number] {
					return fmt.Errorf("%+v is lost", c)
				}
			case c == nil || c.over:
				return fmt.Errorf("%+v, which is over, goes on", c)
			default:
				c.until = p.clock + c.ttl
			}
		}
	}
	return nil
}

func (p *promises) acquired(cmd *command.Command, r command.Reply, last *uint64) error {
	if r.Code == command.Held {
		return nil
	}
	c := p.claims[r.Number]
	if c == nil {
		if r.Number <= p.number {
			return fmt.Errorf("the number was given before")
		}
		p.number = r.Number
		c = &promised{number: r.Number, key: cmd.Key, attemptID: cmd.AttemptID, ttl: int64(cmd.TTL), until: p.clock + int64(cmd.TTL)}
		p.claims[r.Number] = c
		if r.Code == command.Granted {
			return p.grant(c, r.Token, last)
		}
		return nil
	}
	if c.over || c.key != cmd.Key || c.attemptID != cmd.AttemptID {
		return fmt.Errorf("it is the standing of %+v", c)
	}
	if r.Code == command.Waiting {
		c.until = p.clock + c.ttl
	}
	return nil
}

// queues looks at what is there after an entry: of each key one claim is granted, and all others
// came after it.
func (p *promises) queues() error {
	maps.DeleteFunc(p.claims, func(_ uint64, c *promised) bool { return c.over })
	held := map[string]*promised{}
	for _, c := range p.claims {
		if c.token != 0 {
			if o := held[c.key]; o != nil {
				return fmt.Errorf("%+v and %+v are both granted", c, o)
			}
			held[c.key] = c
		}
	}
	for _, c := range p.claims {
		if c.token == 0 {
			if o := held[c.key]; o == nil || o.number > c.number {
				return fmt.Errorf("%+v waits for %+v", c, o)
			}
		}
	}
	return nil
}

// TestPromises: tokens never repeat and always rise, also when the cluster begins again from a
// backup; nothing ends before its deadline; never are two granted the same key; those who wait
// are served in order, and all of them; what comes twice is carried out once.
func TestPromises(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		s, p, r := newScript(seed), newPromises(), rand.New(rand.NewPCG(seed, 9))
		m := New(nil)
		apply := func(index uint64, b command.Batch) error {
			out := m.Apply(index, b)
			if err := p.entry(b, out); err != nil {
				return fmt.Errorf("entry %d, %+v: %w", index, b, err)
			}
			s.heard(out.Answers)
			return nil
		}
		for range entriesOfSeed {
			if err := apply(s.entry()); err != nil {
				return err
			}
			base, again := s.restored()
			if again || r.IntN(10) == 0 {
				restored, err := Restore(m.Snapshot())
				if err != nil {
					return err
				}
				m = restored
			}
			if again {
				m.RaiseTokens(base)
			}
		}
		return p.serveAll(s, m, apply)
	})
}

// serveAll lets holders release, or expire, while those who wait renew: all must be served, and
// nothing be left.
func (p *promises) serveAll(s *script, m *Machine, apply func(uint64, command.Batch) error) error {
	name := command.SessionID{15: 99}
	index, seq := s.index+1, uint64(0)
	if err := apply(index, command.Batch{Commands: []command.Command{{Op: command.Open, ID: name, TTL: time.Hour}}}); err != nil {
		return err
	}
	session := m.sessions.names[name].number
	for rounds := 0; len(p.claims) > 0; rounds++ {
		if rounds > 3000 {
			return fmt.Errorf("%d claims are left after %d rounds", len(p.claims), rounds)
		}
		var holders, waiters []uint64
		for _, c := range p.claims {
			if c.token != 0 {
				holders = append(holders, c.number)
			} else {
				waiters = append(waiters, c.number)
			}
		}
		b := command.Batch{Stamp: p.clock}
		if rounds > 0 {
			// Half the shortest TTL, so that those who renew live on.
			b.Stamp += int64(250 * time.Millisecond)
		}
		do := func(c command.Command) {
			seq++
			c.Session, c.Seq, c.Lowest = session, seq, seq
			b.Commands = append(b.Commands, c)
		}
		do(command.Command{Op: command.Renew, Claims: waiters})
		for _, n := range holders {
			if s.r.IntN(8) == 0 {
				do(command.Command{Op: command.Release, Claims: []uint64{n}})
			}
		}
		index++
		if err := apply(index, b); err != nil {
			return err
		}
		for _, n := range waiters {
			if p.claims[n] == nil {
				return fmt.Errorf("claim %d renewed in time, and was not served", n)
			}
		}
	}
	if m.Claims() != 0 {
		return fmt.Errorf("%d claims are left that nobody knows of", m.Claims())
	}
	return nil
}
