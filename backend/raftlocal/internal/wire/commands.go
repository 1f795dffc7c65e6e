package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// What stands in a frame of answers.
const (
	isAnswer = iota
	isOpened // an answer with a session's ID
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
			dst = command.AppendClaim(dst, &pushes[0].Claim)
			pushes = pushes[1:]
		}
		dst = end(dst, at)
	}
	return dst
}

func appendAnswer(dst []byte, a *command.Answer) []byte {
	if a.ID != (command.SessionID{}) {
		dst = append(append(dst, isOpened), a.ID[:]...)
	} else {
		dst = append(dst, isAnswer)
	}
	dst = binary.AppendUvarint(dst, a.Session)
	dst = binary.AppendUvarint(dst, a.Seq)
	return command.AppendReply(dst, &a.Reply)
}

// ParseAnswers appends the answers and the pushes of a frame to slices. They point to no
// part of the body.
func ParseAnswers(body []byte, answers []command.Answer, pushes []command.Push) ([]command.Answer, []command.Push, error) {
	f := command.FieldsOf(body)
	for f.More() {
		switch f.Octet() {
		case isPush:
			pushes = append(pushes, command.Push{Session: f.Number(), Claim: f.Claim()})
		case isOpened:
			id := f.ID()
			answers = append(answers, command.Answer{ID: id, Session: f.Number(), Seq: f.Number(), Reply: f.Reply()})
		case isAnswer:
			answers = append(answers, command.Answer{Session: f.Number(), Seq: f.Number(), Reply: f.Reply()})
		default:
			f.Fail()
		}
	}
	if err := f.Done(); err != nil {
		return answers, pushes, fmt.Errorf("answers: %w", err)
	}
	return answers, pushes, nil
}

// AppendCommands appends commands, in as many frames as it takes. The order of frames is
// the order of commands.
func AppendCommands(dst []byte, cmds []command.Command) []byte {
	for len(cmds) > 0 {
		at, session := len(dst), uint64(0)
		dst = begin(dst, TypeCommands)
		for len(cmds) > 0 && len(dst)-at < fill {
			dst = command.AppendCommand(dst, &cmds[0], session)
			session = cmds[0].Session
			cmds = cmds[1:]
		}
		dst = end(dst, at)
	}
	return dst
}

// ParseCommands appends the commands of a frame to a slice. They point to no part of the
// body. Whether they make sense is not its business: see [command.Command.Valid].
func ParseCommands(body []byte, to []command.Command) ([]command.Command, error) {
	f, session := command.FieldsOf(body), uint64(0)
	for f.More() {
		to = append(to, command.Command{})
		c := &to[len(to)-1]
		f.Command(c, session)
		session = c.Session
	}
	if err := f.Done(); err != nil {
		return to, fmt.Errorf("commands: %w", err)
	}
	return to, nil
}
