package statemachine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func nanoseconds(n int64) time.Duration { return time.Duration(n) }

// script is a log that a seed gives: of clients that do what they should, and of some that
// do not. It listens to the answers, so that commands name claims and sessions that exist.
type script struct {
	r        *rand.Rand
	index    uint64
	clock    int64
	sessions []*scriptSession
	numbers  []uint64 // of claims, also some that have ended
	keys     int
	attempts int
	wild     bool // some commands make no sense
	pace     int64
	restarts int
}

type scriptSession struct {
	number uint64
	name   command.SessionID
	seq    uint64
	lowest uint64
	sent   []command.Command // some of them
}

func newScript(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 7))
	s := &script{r: r, index: r.Uint64N(1000), keys: 1 + r.IntN(5), attempts: 2 + r.IntN(8), wild: r.IntN(2) == 0, pace: 1 + r.Int64N(int64(4*time.Second))}
	if r.IntN(3) == 0 { // long queues
		s.keys, s.attempts, s.pace = 1, 60, 1+r.Int64N(int64(200*time.Millisecond))
	}
	return s
}

func (s *script) key() string { return fmt.Sprintf("key-%d", s.r.IntN(s.keys)) }

func (s *script) attemptID() string { return fmt.Sprintf("owner-%d", s.r.IntN(s.attempts)) }

func (s *script) ttl() time.Duration {
	return time.Duration(1+s.r.IntN(20)) * time.Second / 2
}

// entry returns the next entry.
func (s *script) entry() (uint64, command.Batch) {
	s.index += 1 + s.r.Uint64N(3)
	s.clock += s.r.Int64N(s.pace)
	b := command.Batch{Stamp: s.clock}
	switch s.r.IntN(20) {
	case 0: // of a leader whose clock was behind
		b.Stamp = max(0, s.clock-s.r.Int64N(int64(time.Minute)))
	case 1:
		s.clock += s.r.Int64N(20 * s.pace)
	}
	for range s.r.IntN(8) {
		b.Commands = append(b.Commands, s.command())
	}
	return s.index, b
}

func (s *script) command() command.Command {
	if len(s.sessions) == 0 || s.r.IntN(30) == 0 {
		return s.open()
	}
	x := s.sessions[s.r.IntN(len(s.sessions))]
	if len(x.sent) > 0 && s.r.IntN(6) == 0 {
		// A copy, late or not, perhaps with what the client knows by now.
		c := x.sent[s.r.IntN(len(x.sent))]
		if s.r.IntN(2) == 0 {
			c.Lowest = x.lowest
		}
		return c
	}
	c := s.fresh()
	x.seq++
	if s.r.IntN(20) == 0 {
		x.seq += s.r.Uint64N(100) // what was lost on the way
	}
	switch s.r.IntN(8) {
	case 0, 1, 2, 3:
		x.lowest = max(x.lowest, x.seq-s.r.Uint64N(min(x.seq, 4)))
	case 4:
		x.lowest = max(x.lowest, x.seq-s.r.Uint64N(min(x.seq, 200)))
	}
	c.Session, c.Seq, c.Lowest = x.number, x.seq, x.lowest
	if s.wild && s.r.IntN(10) == 0 {
		s.spoil(&c)
	}
	x.sent = append(x.sent, c)
	if len(x.sent) > 20 {
		x.sent = slices.Delete(x.sent, 0, 1+s.r.IntN(10))
	}
	return c
}

func (s *script) open() command.Command {
	if len(s.sessions) > 0 && s.r.IntN(4) == 0 {
		return command.Command{Op: command.Open, ID: s.sessions[s.r.IntN(len(s.sessions))].name, TTL: s.ttl()}
	}
	var name command.SessionID
	name[0], name[15] = byte(s.r.IntN(256)), 1
	c := command.Command{Op: command.Open, ID: name, TTL: 4 * s.ttl()}
	if s.r.IntN(8) == 0 {
		c.TTL = 0
	}
	return c
}

func (s *script) fresh() command.Command {
	switch s.r.IntN(20) {
	default:
		return command.Command{
			Op: command.Acquire, Key: s.key(), AttemptID: s.attemptID(), TTL: s.ttl(), Wait: s.r.IntN(4) > 0,
			Meta: []string{"", "meta"}[s.r.IntN(2)],
		}
	case 8, 9, 10:
		return command.Command{Op: command.Release, Key: s.key(), AttemptID: s.attemptID()}
	case 11, 12:
		return command.Command{Op: command.Release, Claims: []uint64{s.number()}}
	case 13, 14, 15, 16, 17:
		c := command.Command{Op: command.Renew}
		for range s.r.IntN(5) {
			c.Claims = append(c.Claims, s.number())
		}
		return c
	case 18:
		if s.r.IntN(4) == 0 {
			return command.Command{Op: command.Close}
		}
		return command.Command{Op: command.Nop}
	case 19:
		return command.Command{Op: command.Evict, Key: s.key()}
	}
}

// number is of a claim that may be there, or hardly.
func (s *script) number() uint64 {
	if len(s.numbers) == 0 || s.r.IntN(10) == 0 {
		return s.r.Uint64N(100)
	}
	return s.numbers[s.r.IntN(len(s.numbers))]
}

// spoil makes nonsense of a command.
func (s *script) spoil(c *command.Command) {
	switch s.r.IntN(9) {
	case 0:
		c.Key = ""
	case 1:
		c.Key = long(command.MaxKey + 1)
	case 2:
		c.AttemptID = ""
	case 3:
		c.TTL = -c.TTL
	case 4:
		c.Op = command.Op(s.r.IntN(256))
	case 5:
		c.Session = s.r.Uint64N(100)
	case 6:
		c.Seq += command.MaxOutstanding
	case 7:
		c.Claims = make([]uint64, 2+s.r.IntN(2*command.MaxClaims))
	case 8:
		c.Seq = 0
	}
}

// heard records what an entry has brought about.
func (s *script) heard(answers []command.Answer) {
	for _, a := range answers {
		switch {
		case a.ID != (command.SessionID{}):
			if a.Reply.Code == command.OK && !slices.ContainsFunc(s.sessions, func(x *scriptSession) bool { return x.number == a.Reply.Number }) {
				s.sessions = append(s.sessions, &scriptSession{number: a.Reply.Number, name: a.ID, lowest: 1})
			}
		case a.Reply.Code == command.SessionGone && s.r.IntN(4) == 0:
			s.sessions = slices.DeleteFunc(s.sessions, func(x *scriptSession) bool { return x.number == a.Session })
		case a.Reply.Number != 0:
			s.numbers = append(s.numbers, a.Reply.Number)
		}
	}
	if len(s.numbers) > 20+s.attempts {
		s.numbers = slices.Delete(s.numbers, 0, 10)
	}
}

// restored reports whether the cluster begins again from a backup now, and above which
// tokens.
func (s *script) restored() (base uint64, yes bool) {
	if s.r.IntN(200) > 0 {
		return 0, false
	}
	s.restarts++
	s.index = s.r.Uint64N(100)
	return uint64(s.restarts) << 40, true
}
