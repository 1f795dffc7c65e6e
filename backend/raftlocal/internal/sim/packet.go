package sim

import (
	"encoding/binary"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// packet is whole frames, as they go over a connection.
type packet []byte

// each gives the bodies of the frames.
func (p packet) each(f func(body []byte)) {
	for len(p) > 0 {
		n := binary.BigEndian.Uint32(p)
		f(p[5 : 4+n])
		p = p[4+n:]
	}
}

func encodeCommands(cmds []command.Command) packet { return wire.AppendCommands(nil, cmds) }

func (p packet) commands() (cmds []command.Command) {
	p.each(func(body []byte) {
		var err error
		if cmds, err = wire.ParseCommands(body, cmds); err != nil {
			panic(err)
		}
	})
	return cmds
}

func encodeAnswers(answers []command.Answer, pushes []command.Push) packet {
	return wire.AppendAnswers(nil, answers, pushes)
}

func (p packet) answers() (answers []command.Answer, pushes []command.Push) {
	p.each(func(body []byte) {
		var err error
		if answers, pushes, err = wire.ParseAnswers(body, answers, pushes); err != nil {
			panic(err)
		}
	})
	return answers, pushes
}
