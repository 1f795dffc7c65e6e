package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Raft is what clients of the built-in Raft and its members say to each other, without TLS.
// Each command is a request, and each answer a message; a frame has many of them. Notifications
// about claims are pushed. Greetings, pings and the like pass, and nothing can happen to them.
//
// The functions that choose are shown a command as it stands in its frame: see [RaftOp].
func Raft() Session { return &raft{pending: map[raftAddress]*Request{}} }

type raft struct {
	begun   bool // the preface was sent
	pending map[raftAddress]*Request
}

// raftAddress names a command in its answer: the session and the number, or the ID of a
// session that is not open yet.
type raftAddress struct {
	session, seq uint64
	id           string
}

// The frames that matter here.
const (
	raftCommands = 4
	raftAnswers  = 5
)

var errRaftFrame = errors.New("raft: a frame that is not what it says")

func (*raft) Requests() Framer { return &raftFramer{preface: true} }
func (*raft) Replies() Framer  { return &raftFramer{} }

func (s *raft) Sent(frame []byte) (*Request, []*Request, error) {
	if !s.begun {
		s.begun = true
		return nil, nil, nil
	}
	if len(frame) < 5 {
		return nil, nil, errRaftFrame
	}
	if frame[4] != raftCommands {
		return nil, nil, nil
	}
	var all []*Request
	var before uint64
	for f := (raftFields{rest: frame[5:]}); len(f.rest) > 0; {
		command, to := f.command(before)
		if f.bad {
			return nil, nil, errRaftFrame
		}
		before = to.session
		r := &Request{Bytes: command}
		s.pending[to] = r
		all = append(all, r)
	}
	return nil, all, nil
}

func (s *raft) Received(frame []byte) ([]Message, error) {
	if len(frame) < 5 {
		return nil, errRaftFrame
	}
	if frame[4] != raftAnswers {
		return nil, nil
	}
	var all []Message
	for f := (raftFields{rest: frame[5:]}); len(f.rest) > 0; {
		answer, push, to := f.answer()
		if f.bad {
			return nil, errRaftFrame
		}
		m := Message{Bytes: answer, Push: push}
		if !push {
			m.To = s.pending[to]
			delete(s.pending, to)
		}
		all = append(all, m)
	}
	for i := range all {
		all[i].Glued = len(all) > 1
	}
	return all, nil
}

// raftPreface is how a connection begins: a frame by itself here.
const raftPreface = "\x00flr"

// raftFramer finds the ends of frames: four bytes of length, then that many. No frame is as
// long as 16 MiB, so the first byte is zero, which tells TLS and HTTP at once.
type raftFramer struct {
	headed
	preface bool // comes first
}

var errNotRaft = errors.New("raft: this is another protocol")

func (f *raftFramer) Feed(p []byte) (n int, end bool, err error) {
	n, end, err = f.feed(p, 4, func(head []byte) error {
		if last := len(head) - 1; head[0] != 0 || f.preface && head[last] != raftPreface[last] {
			return errNotRaft
		}
		return nil
	}, func(head []byte) int {
		if f.preface {
			return 0
		}
		return int(binary.BigEndian.Uint32(head))
	})
	if end {
		f.preface = false
	}
	return n, end, err
}

// raftOps are the commands, by number.
var raftOps = []string{"", "open", "close", "acquire", "release", "renew", "evict", "nop", "inspect", "list", "evict one"}

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
		_
		hasLocks
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
	if has&hasLocks != 0 {
		for n := f.number(); n > 0 && !f.bad; n-- {
			f.text()
			f.text()
			f.text()
			f.numbers(2)
		}
	}
}

func (f *raftFields) claim() {
	f.number()
	f.octet()
	f.number()
}
