package command

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// batchFormat is the first byte of a batch in the log. It changes whenever older versions would
// misread what follows.
const batchFormat = 1

// What stands in the second byte of a command, after its Op. A field that is zero takes
// no room.
const (
	hasID = 1 << iota
	hasKey
	hasOwner
	hasMeta
	hasTTL
	hasClaims
	doesWait
	isNext // of the same session as the command before it
)

// AppendBatch appends an encoded batch.
func AppendBatch(dst []byte, b Batch) []byte {
	dst = append(dst, batchFormat)
	dst = binary.AppendUvarint(dst, uint64(b.Stamp)) //nolint:gosec // comes back as it was
	dst = binary.AppendUvarint(dst, uint64(len(b.Commands)))
	var session uint64
	for i := range b.Commands {
		dst = AppendCommand(dst, &b.Commands[i], session)
		session = b.Commands[i].Session
	}
	return dst
}

// AppendCommand appends a command that follows one of a session, or 0.
func AppendCommand(dst []byte, c *Command, before uint64) []byte {
	at := len(dst)
	dst = append(dst, byte(c.Op), 0)
	var has byte
	if c.Session == before {
		has |= isNext
	} else {
		dst = binary.AppendUvarint(dst, c.Session)
	}
	dst = binary.AppendUvarint(dst, c.Seq)
	dst = binary.AppendUvarint(dst, c.Seq-c.Lowest) // mostly small
	if c.ID != (SessionID{}) {
		has |= hasID
		dst = append(dst, c.ID[:]...)
	}
	if c.Key != "" {
		has |= hasKey
		dst = AppendString(dst, c.Key)
	}
	if c.AttemptID != "" {
		has |= hasOwner
		dst = AppendString(dst, c.AttemptID)
	}
	if c.Meta != "" {
		has |= hasMeta
		dst = AppendString(dst, c.Meta)
	}
	if c.TTL != 0 {
		has |= hasTTL
		dst = binary.AppendUvarint(dst, uint64(c.TTL)) //nolint:gosec // comes back as it was
	}
	if len(c.Claims) > 0 {
		has |= hasClaims
		dst = binary.AppendUvarint(dst, uint64(len(c.Claims)))
		for _, n := range c.Claims {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	if c.Wait {
		has |= doesWait
	}
	dst[at+1] = has
	return dst
}

// leastCommand is the fewest bytes of a command.
const leastCommand = 4

// DecodeBatch decodes a batch into b, whose memory it uses again: nothing else may still point
// to its commands or their claims. Strings point to one copy of the bytes, not to data.
// Limits are not its business: what breaks one stands in the log of every member, and
// the state machine refuses it at all of them.
//
// After an error b holds nothing of use.
func DecodeBatch(data []byte, b *Batch) error {
	f := FieldsOf(data)
	if format := f.Octet(); format != batchFormat {
		return fmt.Errorf("a batch of format %d, which this version does not know: run the newest version", format)
	}
	b.Stamp = int64(f.Number()) //nolint:gosec // as it was
	n := f.Count(leastCommand)
	b.Commands = slices.Grow(b.Commands[:0], n)[:n]
	var session uint64
	for i := range b.Commands {
		f.Command(&b.Commands[i], session)
		session = b.Commands[i].Session
	}
	if err := f.Done(); err != nil {
		return fmt.Errorf("a batch: %w", err)
	}
	return nil
}

// Command decodes a command that follows one of a session, into its memory.
func (f *Fields) Command(c *Command, before uint64) {
	claims := c.Claims[:0]
	*c = Command{Op: Op(f.Octet())}
	has := f.Octet()
	c.Session = before
	if has&isNext == 0 {
		if c.Session = f.Number(); c.Session == before {
			f.Fail()
		}
	}
	c.Seq = f.Number()
	c.Lowest = c.Seq - f.Number()
	if has&hasID != 0 {
		if c.ID = f.ID(); c.ID == (SessionID{}) {
			f.Fail()
		}
	}
	if has&hasKey != 0 {
		c.Key = f.someString()
	}
	if has&hasOwner != 0 {
		c.AttemptID = f.someString()
	}
	if has&hasMeta != 0 {
		c.Meta = f.someString()
	}
	if has&hasTTL != 0 {
		if c.TTL = time.Duration(f.Number()); c.TTL == 0 { //nolint:gosec // as it was
			f.Fail()
		}
	}
	if has&hasClaims != 0 {
		n := f.Count(1)
		if n == 0 {
			f.Fail()
		}
		c.Claims = slices.Grow(claims, n)
		for range n {
			c.Claims = append(c.Claims, f.Number())
		}
	}
	c.Wait = has&doesWait != 0
}

// someString returns a string that is not empty: an empty one takes no room.
func (f *Fields) someString() string {
	s := f.String()
	if s == "" {
		f.Fail()
	}
	return s
}
