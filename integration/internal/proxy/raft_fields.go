package proxy

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// raftOps are the commands, by number.
var raftOps = []string{"", "open", "close", "acquire", "release", "renew", "evict", "nop", "inspect"}

// RaftOp matches the commands of these names.
func RaftOp(names ...string) func(request []byte) bool {
	for _, name := range names {
		if name == "" || !slices.Contains(raftOps, name) {
			panic(fmt.Sprintf("proxy: raft has no command %q", name)) // else the fault would never happen
		}
	}
	return func(request []byte) bool {
		return len(request) > 0 && int(request[0]) < len(raftOps) && slices.Contains(names, raftOps[request[0]])
	}
}

// raftFields takes a frame apart. After what is not there, it is bad.
type raftFields struct {
	rest []byte
	bad  bool
}

func (f *raftFields) number() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *raftFields) numbers(n uint64) {
	for ; n > 0 && !f.bad; n-- {
		f.number()
	}
}

func (f *raftFields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.bad, f.rest = true, nil
		return nil
	}
	v := f.rest[:n]
	f.rest = f.rest[n:]
	return v
}

func (f *raftFields) octet() byte {
	if v := f.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (f *raftFields) text() { f.take(f.number()) }

const raftIDLen = 16

// command takes one, and who it is answered to. The session is before's unless it says another.
func (f *raftFields) command(before uint64) (all []byte, to raftAddress) {
	const (
		hasID = 1 << iota
		hasKey
		hasOwner
		hasMeta
		hasTTL
		hasClaims
		_
		isNext
	)
	begin := f.rest
	f.octet()
	has := f.octet()
	to.session = before
	if has&isNext == 0 {
		to.session = f.number()
	}
	to.seq = f.number()
	f.number()
	if has&hasID != 0 {
		to.id = string(f.take(raftIDLen))
	}
	for _, text := range []byte{hasKey, hasOwner, hasMeta} {
		if has&text != 0 {
			f.text()
		}
	}
	if has&hasTTL != 0 {
		f.number()
	}
	if has&hasClaims != 0 {
		f.numbers(f.number())
	}
	return begin[:len(begin)-len(f.rest)], to
}

// answer takes one, or a push.
func (f *raftFields) answer() (all []byte, push bool, to raftAddress) {
	const (
		answered = iota
		opened
		pushed
	)
	begin := f.rest
	switch f.octet() {
	case pushed:
		push = true
		f.number()
		f.claim()
	case opened:
		to.id = string(f.take(raftIDLen))
		to.session, to.seq = f.number(), f.number()
		f.reply()
	case answered:
		to.session, to.seq = f.number(), f.number()
		f.reply()
	default:
		f.bad, f.rest = true, nil
	}
	return begin[:len(begin)-len(f.rest)], push, to
}

func (f *raftFields) reply() {
	const (
		hasNumber = 1 << iota
		hasToken
		hasStanding
		hasStatus
	)
	f.octet()
	has := f.octet()
	if has&hasNumber != 0 {
		f.number()
	}
	if has&hasToken != 0 {
		f.number()
	}
	if has&hasStanding != 0 {
		for n := f.number(); n > 0 && !f.bad; n-- {
			f.claim()
		}
	}
	if has&hasStatus != 0 {
		f.text()
		f.text()
		f.numbers(3)
	}
}

func (f *raftFields) claim() {
	f.number()
	f.octet()
	f.number()
}
