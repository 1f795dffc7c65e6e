package statemachine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Restore returns the state that a snapshot holds. It points to no part of data. An error says
// that data is no snapshot, or one of a later version.
func Restore(data []byte) (*Machine, error) {
	r := restoring{Fields: command.FieldsOf(data), m: empty()}
	if format := r.Octet(); format != stateFormat {
		return nil, fmt.Errorf("a state of the locks in format %d, which this version does not know: run the newest version", format)
	}
	r.numbers()
	r.members()
	r.sessions()
	r.claims()
	if err := r.Done(); err != nil {
		return nil, errors.New("the state of the locks is damaged: it must come from a backup, or from another member")
	}
	return r.m, nil
}

// restoring is a machine that is filled. Only what Snapshot writes is taken: what it gives
// for the machine is what the machine was made of.
type restoring struct {
	command.Fields
	m *Machine
}

// time returns a time, or a duration, which is not negative.
func (r *restoring) time() int64 {
	v := r.Number()
	if v > math.MaxInt64 {
		r.Fail()
		return 0
	}
	return int64(v)
}

// deadline returns a time of the clock: what is left of a TTL.
func (r *restoring) deadline(ttl time.Duration) int64 {
	left := r.time()
	if left > int64(ttl) || left > math.MaxInt64-r.m.clock {
		r.Fail()
		return 0
	}
	return r.m.clock + left
}

// next returns a number above another. It was given before.
func (r *restoring) next(before uint64) uint64 {
	gap := r.Number()
	if gap == 0 || before > r.m.number || gap > r.m.number-before {
		r.Fail()
		return 0
	}
	return before + gap
}

func (r *restoring) numbers() {
	r.m.clock = r.time()
	for _, v := range []*uint64{&r.m.token, &r.m.base, &r.m.number} {
		*v = uint64(r.time()) //nolint:gosec // not negative: they rise from there, and have room
	}
}

func (r *restoring) members() {
	n := r.Count(3)
	var all []Member
	for i := range n {
		p := Member{ID: r.Number(), Name: strings.Clone(r.String()), Addr: strings.Clone(r.String())}
		if i > 0 && p.ID <= all[i-1].ID {
			r.Fail()
		}
		all = append(all, p)
	}
	r.m.setMembers(all)
}

func (r *restoring) sessions() {
	number := uint64(0)
	for range r.Count(22) {
		number = r.next(number)
		s := &session{number: number, name: r.ID(), ttl: time.Duration(r.time())}
		deadline := r.deadline(s.ttl)
		s.replies = r.replies()
		if r.m.sessions.names[s.name] != nil || s.name == (command.SessionID{}) || s.ttl == 0 {
			r.Fail()
		}
		if r.Failed() {
			return
		}
		r.m.sessions.admit(s, deadline)
	}
}

func (r *restoring) replies() (p replies) {
	p.lowest = r.Number()
	next := uint64(0)
	for range r.Count(3) {
		ahead := next + r.Number()
		reply := r.Reply()
		if ahead < next || ahead >= command.MaxOutstanding || p.lowest == 0 || p.lowest+ahead < p.lowest ||
			reply.Code == 0 || reply.Status != (command.Status{}) || len(reply.Locks) > 0 || len(reply.Claims) > maxStandings-p.standings {
			r.Fail()
			return p
		}
		p.keep(p.lowest+ahead, &reply)
		next = ahead + 1
	}
	if p.lowest == 0 {
		r.Fail()
	}
	return p
}

func (r *restoring) claims() {
	number := uint64(0)
	for range r.Count(8) {
		number = r.next(number)
		c := &claim{number: number, token: r.Number()}
		q := r.queue(c)
		c.attemptID, c.meta = r.String(), r.String()
		c.session, c.ttl = r.Number(), time.Duration(r.time())
		deadline := r.deadline(c.ttl)
		if q == nil || r.Failed() || !r.possible(c, q) {
			r.Fail()
			return
		}
		_, c.attemptID, c.meta = cloneStrings("", c.attemptID, c.meta)
		r.m.locks.queues[q.key] = q
		r.m.locks.link(q, c, deadline)
	}
}

// queue returns the queue of a claim: a new one for one that holds.
func (r *restoring) queue(c *claim) *queue {
	if c.token != 0 {
		return &queue{key: strings.Clone(r.String())}
	}
	holder := r.m.locks.claims[c.number-r.Number()]
	if holder == nil || holder.token == 0 {
		return nil
	}
	return holder.queue
}

// possible reports whether a claim can be in a queue.
func (r *restoring) possible(c *claim, q *queue) bool {
	cmd := command.Command{Op: command.Acquire, Key: q.key, AttemptID: c.attemptID, Meta: c.meta, TTL: c.ttl}
	return cmd.Valid() && q.find(c.attemptID) == nil &&
		(c.token == 0 || r.m.locks.queues[q.key] == nil && c.token <= r.m.token) &&
		r.m.sessions.byNumber[c.number] == nil
}

// stateFormat is the first byte of a snapshot. It changes whenever older versions would
// misread what follows.
const stateFormat = 1

// Snapshot returns the whole state. The same state gives the same bytes, whatever led to it:
// everything stands in the order of its number. That is also the order of each queue, since a
// claim gets its number when it joins the end of one.
func (m *Machine) Snapshot() []byte {
	dst := make([]byte, 0, 64+128*len(m.locks.claims)+128*len(m.sessions.byNumber))
	dst = append(dst, stateFormat)
	dst = binary.AppendUvarint(dst, uint64(m.clock)) //nolint:gosec // never negative
	for _, v := range []uint64{m.token, m.base, m.number} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.members)))
	for _, p := range m.members {
		dst = binary.AppendUvarint(dst, p.ID)
		dst = command.AppendString(command.AppendString(dst, p.Name), p.Addr)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.sessions.byNumber)))
	before := uint64(0)
	for _, number := range slices.Sorted(maps.Keys(m.sessions.byNumber)) {
		s := m.sessions.byNumber[number]
		dst = binary.AppendUvarint(dst, number-before)
		dst = m.sessions.append(dst, s)
		before = number
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.locks.claims)))
	before = 0
	for _, number := range slices.Sorted(maps.Keys(m.locks.claims)) {
		c := m.locks.claims[number]
		dst = binary.AppendUvarint(dst, number-before)
		dst = m.locks.append(dst, c)
		before = number
	}
	return dst
}

func (ss *sessions) append(dst []byte, s *session) []byte {
	dst = append(dst, s.name[:]...)
	dst = binary.AppendUvarint(dst, uint64(s.ttl))                            //nolint:gosec // never negative
	dst = binary.AppendUvarint(dst, uint64(ss.expiring[s.index].at-ss.clock)) //nolint:gosec // never negative
	return s.replies.append(dst)
}

// append appends the replies: how many there are, and each with how far it is from the one
// before.
func (p *replies) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, p.lowest)
	count := uint64(0)
	for ahead := range p.span {
		if p.at(p.lowest+ahead).code != 0 {
			count++
		}
	}
	dst = binary.AppendUvarint(dst, count)
	next := uint64(0)
	for ahead := range p.span {
		if r := p.at(p.lowest + ahead); r.code != 0 {
			dst = binary.AppendUvarint(dst, ahead-next)
			dst = command.AppendReply(dst, &command.Reply{Code: r.code, Number: r.number, Token: r.token, Claims: r.claims})
			next = ahead + 1
		}
	}
	return dst
}

// append appends a claim: one that holds with its key, one that waits with how far the number
// of the one that holds is below its own.
func (l *locks) append(dst []byte, c *claim) []byte {
	dst = binary.AppendUvarint(dst, c.token)
	if c.token != 0 {
		dst = command.AppendString(dst, c.queue.key)
	} else {
		dst = binary.AppendUvarint(dst, c.number-c.queue.first.number)
	}
	dst = command.AppendString(command.AppendString(dst, c.attemptID), c.meta)
	dst = binary.AppendUvarint(dst, c.session)
	dst = binary.AppendUvarint(dst, uint64(c.ttl))                          //nolint:gosec // never negative
	return binary.AppendUvarint(dst, uint64(l.overdue[c.index].at-l.clock)) //nolint:gosec // never negative
}
