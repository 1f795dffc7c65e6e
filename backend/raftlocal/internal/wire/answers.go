package wire

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// What stands in a frame of answers.
const (
	isAnswer   = iota
	isOpened   // an answer with a session's ID
	isInformed // an answer with a status
	isPush
)

// AppendAnswers appends answers and then pushes, in as many frames as it takes.
func AppendAnswers(dst []byte, answers []command.Answer, pushes []command.Push) []byte {
	for len(answers)+len(pushes) > 0 {
		at := len(dst)
		dst = begin(dst, TypeAnswers)
		for len(answers) > 0 && len(dst)-at < fill {
			dst = appendAnswer(dst, &answers[0])
			answers = answers[1:]
		}
		for len(answers) == 0 && len(pushes) > 0 && len(dst)-at < fill {
			dst = binary.AppendUvarint(append(dst, isPush), pushes[0].Session)
			dst = appendClaim(dst, pushes[0].Claim)
			pushes = pushes[1:]
		}
		dst = end(dst, at)
	}
	return dst
}

func appendAnswer(dst []byte, a *command.Answer) []byte {
	kind := byte(isAnswer)
	switch {
	case a.ID != (command.SessionID{}):
		kind = isOpened
	case a.Reply.Status != (command.Status{}):
		kind = isInformed
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, a.Session)
	dst = binary.AppendUvarint(dst, a.Seq)
	dst = append(dst, byte(a.Reply.Code))
	dst = binary.AppendUvarint(dst, a.Reply.Number)
	dst = binary.AppendUvarint(dst, a.Reply.Token)
	dst = binary.AppendUvarint(dst, uint64(len(a.Reply.Claims)))
	for _, c := range a.Reply.Claims {
		dst = appendClaim(dst, c)
	}
	switch kind {
	case isOpened:
		dst = append(dst, a.ID[:]...)
	case isInformed:
		s := &a.Reply.Status
		dst = appendFlag(dst, s.Held)
		dst = appendString(appendString(dst, s.Owner), s.Meta)
		dst = binary.AppendUvarint(dst, s.Token)
		dst = binary.AppendUvarint(dst, uint64(s.Left))    //nolint:gosec // comes back as it was
		dst = binary.AppendUvarint(dst, uint64(s.Waiters)) //nolint:gosec // comes back as it was
	}
	return dst
}

func appendClaim(dst []byte, c command.Claim) []byte {
	dst = binary.AppendUvarint(dst, c.Number)
	return binary.AppendUvarint(append(dst, byte(c.Code)), c.Token)
}

// ParseAnswers appends the answers and the pushes of a frame to slices. They point to no
// part of the body.
func ParseAnswers(body []byte, answers []command.Answer, pushes []command.Push) ([]command.Answer, []command.Push, error) {
	f := fieldsOf(body)
	for len(f.rest) > 0 {
		if kind := f.octet(); kind == isPush {
			pushes = append(pushes, command.Push{Session: f.number(), Claim: f.claim()})
		} else {
			answers = append(answers, command.Answer{})
			f.answer(kind, &answers[len(answers)-1])
		}
	}
	if err := f.done(); err != nil {
		return answers, pushes, fmt.Errorf("answers: %w", err)
	}
	return answers, pushes, nil
}

func (f *fields) answer(kind byte, a *command.Answer) {
	a.Session, a.Seq = f.number(), f.number()
	a.Reply = command.Reply{Code: command.Code(f.octet()), Number: f.number(), Token: f.number()}
	if n := f.count(3); n > 0 {
		a.Reply.Claims = make([]command.Claim, n)
		for i := range a.Reply.Claims {
			a.Reply.Claims[i] = f.claim()
		}
	}
	switch kind {
	case isAnswer:
	case isOpened:
		if len(f.rest) < len(a.ID) {
			f.fail()
			return
		}
		copy(a.ID[:], f.rest)
		f.rest = f.rest[len(a.ID):]
	case isInformed:
		a.Reply.Status = command.Status{
			Held: f.octet() != 0, Owner: f.string(), Meta: f.string(), Token: f.number(),
			Left: time.Duration(f.number()), Waiters: int(f.number()), //nolint:gosec // as they were
		}
	default:
		f.fail()
	}
}

func (f *fields) claim() command.Claim {
	return command.Claim{Number: f.number(), Code: command.Code(f.octet()), Token: f.number()}
}
