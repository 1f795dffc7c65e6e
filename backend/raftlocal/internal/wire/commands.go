package wire

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

const (
	flagWait = 1 << iota
	flagID
)

// AppendCommands appends commands, in as many frames as it takes. The order of frames is
// the order of commands.
func AppendCommands(dst []byte, cmds []command.Command) []byte {
	for len(cmds) > 0 {
		at := len(dst)
		dst = begin(dst, TypeCommands)
		for len(cmds) > 0 && len(dst)-at < fill {
			dst = appendCommand(dst, &cmds[0])
			cmds = cmds[1:]
		}
		dst = end(dst, at)
	}
	return dst
}

func appendCommand(dst []byte, c *command.Command) []byte {
	var flags byte
	if c.Wait {
		flags |= flagWait
	}
	if c.ID != (command.SessionID{}) {
		flags |= flagID
	}
	dst = append(dst, byte(c.Op), flags)
	dst = binary.AppendUvarint(dst, c.Session)
	dst = binary.AppendUvarint(dst, c.Seq)
	dst = binary.AppendUvarint(dst, c.Lowest)
	if flags&flagID != 0 {
		dst = append(dst, c.ID[:]...)
	}
	dst = appendString(dst, c.Key)
	dst = appendString(dst, c.Owner)
	dst = appendString(dst, c.Meta)
	dst = binary.AppendUvarint(dst, uint64(c.TTL)) //nolint:gosec // comes back as it was
	dst = binary.AppendUvarint(dst, uint64(len(c.Claims)))
	for _, n := range c.Claims {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

// ParseCommands appends the commands of a frame to a slice. They point to no part of the
// body. Whether they make sense is not its business, but no Renew has more than
// command.MostClaims.
func ParseCommands(body []byte, to []command.Command) ([]command.Command, error) {
	f := fieldsOf(body)
	for len(f.rest) > 0 {
		to = append(to, command.Command{})
		f.command(&to[len(to)-1])
	}
	if err := f.done(); err != nil {
		return to, fmt.Errorf("commands: %w", err)
	}
	return to, nil
}

func (f *fields) command(c *command.Command) {
	c.Op = command.Op(f.octet())
	flags := f.octet()
	c.Wait = flags&flagWait != 0
	c.Session, c.Seq, c.Lowest = f.number(), f.number(), f.number()
	if flags&flagID != 0 {
		if len(f.rest) < len(c.ID) {
			f.fail()
			return
		}
		copy(c.ID[:], f.rest)
		f.rest = f.rest[len(c.ID):]
	}
	c.Key, c.Owner, c.Meta = f.string(), f.string(), f.string()
	c.TTL = time.Duration(f.number()) //nolint:gosec // as it was
	n := f.count(1)
	if n > command.MostClaims || flags&^(flagWait|flagID) != 0 {
		f.fail()
		return
	}
	if n > 0 {
		c.Claims = make([]uint64, n)
		for i := range c.Claims {
			c.Claims[i] = f.number()
		}
	}
}
