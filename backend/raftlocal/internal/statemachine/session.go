package statemachine

import (
	"cmp"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// A session lives for defaultTTL without a command if Open does not say, and for longestTTL
// at most, so that none stays in memory for ever.
const (
	defaultTTL = time.Minute
	longestTTL = 24 * time.Hour
)

// session is a client's.
type session struct {
	number  uint64
	name    command.SessionID
	ttl     time.Duration
	index   int // in sessions.expiring, where its deadline is
	replies replies
}

// sessions are those of all clients.
type sessions struct {
	*numbers
	byNumber map[uint64]*session
	names    map[command.SessionID]*session
	expiring deadlines
}

// open makes a session, or finds the one that an earlier copy of the command has made.
func (ss *sessions) open(cmd *command.Command, r *command.Reply) {
	if !cmd.Valid() {
		r.Code = command.Invalid
		return
	}
	s := ss.names[cmd.ID]
	if s == nil {
		ttl := min(cmp.Or(cmd.TTL, defaultTTL), longestTTL)
		s = &session{number: ss.give(), name: cmd.ID, ttl: ttl, replies: replies{lowest: 1}}
		ss.admit(s, ss.after(int64(s.ttl)))
	} else {
		ss.touch(s)
	}
	r.Code, r.Number = command.OK, s.number
}

// admit puts a session into all that leads to it.
func (ss *sessions) admit(s *session, deadline int64) {
	ss.byNumber[s.number] = s
	ss.names[s.name] = s
	ss.expiring.add(deadline, s.number, &s.index)
}

// touch notes that a command of a session has come.
func (ss *sessions) touch(s *session) { ss.expiring.move(s.index, ss.after(int64(s.ttl))) }

// end ends a session.
func (ss *sessions) end(s *session) {
	delete(ss.byNumber, s.number)
	delete(ss.names, s.name)
	ss.expiring.remove(s.index)
}

// expire ends the sessions whose deadline has come.
func (ss *sessions) expire() {
	for {
		number, ok := ss.expiring.due(ss.clock)
		if !ok {
			return
		}
		ss.end(ss.byNumber[number])
	}
}

// replies are those of a session that may not have arrived: of some of the commands from lowest
// on, span of them at most; the last of these is one. They stand in a ring, each at its number
// modulo the length, which is a power of 2.
type replies struct {
	lowest    uint64
	span      uint64
	standings int // of claims, in all
	ring      []reply
}

// reply is a command.Reply in less memory: what is carried out never has a status.
type reply struct {
	code   command.Code // 0 if the command has not come
	number uint64
	token  uint64
	claims []command.Claim
}

const (
	// leastRing is the length that a ring begins with, and shortRing one that is not worth
	// making shorter.
	leastRing = 8
	shortRing = 64
	// maxStandings is how many standings of claims the replies of a session hold in all, so that
	// renewals without end cannot fill the memory.
	maxStandings = 1 << 20
)

// admit reports whether a command is to be carried out: it was not before, and there is room
// for its reply. If not, r is the answer. What has arrived, by what the command says, is
// forgotten.
func (p *replies) admit(c *command.Command, r *command.Reply) bool {
	p.forget(c.Lowest)
	if c.Seq < p.lowest {
		r.Code = command.Done
		return false
	}
	ahead := c.Seq - p.lowest
	if ahead < p.span {
		if was := p.at(c.Seq); was.code != 0 {
			*r = command.Reply{Code: was.code, Number: was.number, Token: was.token, Claims: was.claims}
			return false
		}
	}
	if ahead >= command.MaxOutstanding || len(c.Claims) > maxStandings-p.standings {
		// Nothing is kept of it: with a later Lowest it may come again.
		r.Code = command.Invalid
		return false
	}
	return true
}

func (p *replies) at(seq uint64) *reply { return &p.ring[seq&uint64(len(p.ring)-1)] }

// keep notes the reply to a command that was admitted.
func (p *replies) keep(seq uint64, r *command.Reply) {
	need := max(p.span, seq-p.lowest+1)
	if need > uint64(len(p.ring)) {
		p.resize(need)
	}
	p.span = need
	*p.at(seq) = reply{r.Code, r.Number, r.Token, r.Claims}
	p.standings += len(r.Claims)
}

// forget drops the replies below a number.
func (p *replies) forget(lowest uint64) {
	if lowest <= p.lowest {
		return
	}
	for n := min(lowest-p.lowest, p.span); n > 0; n-- {
		old := p.at(p.lowest)
		p.standings -= len(old.claims)
		*old = reply{}
		p.lowest++
		p.span--
	}
	p.lowest = lowest
	if len(p.ring) > shortRing && p.span < uint64(len(p.ring)/8) {
		p.resize(4 * p.span)
	}
}

// resize gives the ring room for so many.
func (p *replies) resize(need uint64) {
	length := leastRing
	for uint64(length) < need {
		length *= 2
	}
	was := *p
	p.ring = make([]reply, length)
	for seq := p.lowest; seq != p.lowest+p.span; seq++ {
		*p.at(seq) = *was.at(seq)
	}
}
