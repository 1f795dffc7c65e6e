package wire

import (
	"fmt"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

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
