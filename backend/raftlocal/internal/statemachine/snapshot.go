package statemachine

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// stateFormat is the first byte of a snapshot. It changes whenever older versions would
// misread what follows.
const stateFormat = 1

// Snapshot returns the whole state. The same state gives the same bytes, whatever led to it:
// everything stands in the order of its number. That is also the order of each queue, since a
// claim gets its number when it joins the end of one.
func (m *Machine) Snapshot() []byte {
	dst := make([]byte, 0, 64+128*len(m.claims)+128*len(m.sessions))
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
	dst = binary.AppendUvarint(dst, uint64(len(m.sessions)))
	before := uint64(0)
	for _, number := range slices.Sorted(maps.Keys(m.sessions)) {
		s := m.sessions[number]
		dst = binary.AppendUvarint(dst, number-before)
		dst = m.appendSession(dst, s)
		before = number
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.claims)))
	before = 0
	for _, number := range slices.Sorted(maps.Keys(m.claims)) {
		c := m.claims[number]
		dst = binary.AppendUvarint(dst, number-before)
		dst = m.appendClaim(dst, c)
		before = number
	}
	return dst
}

func (m *Machine) appendSession(dst []byte, s *session) []byte {
	dst = append(dst, s.name[:]...)
	dst = binary.AppendUvarint(dst, uint64(s.ttl))                         //nolint:gosec // never negative
	dst = binary.AppendUvarint(dst, uint64(m.lapsing[s.place].at-m.clock)) //nolint:gosec // never negative
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

// appendClaim appends a claim: one that holds with its key, one that waits with how far the number
// of the one that holds is below its own.
func (m *Machine) appendClaim(dst []byte, c *claim) []byte {
	dst = binary.AppendUvarint(dst, c.token)
	if c.token != 0 {
		dst = command.AppendString(dst, c.queue.key)
	} else {
		dst = binary.AppendUvarint(dst, c.number-c.queue.first.number)
	}
	dst = command.AppendString(command.AppendString(dst, c.owner), c.meta)
	dst = binary.AppendUvarint(dst, c.session)
	dst = binary.AppendUvarint(dst, uint64(c.ttl))                          //nolint:gosec // never negative
	return binary.AppendUvarint(dst, uint64(m.overdue[c.place].at-m.clock)) //nolint:gosec // never negative
}
