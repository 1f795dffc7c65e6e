package proxy

import "errors"

// Raft is what clients of the built-in Raft and its members say to each other, without TLS.
// Each command is a request, and each answer a message; a frame has many of them. News of
// claims is pushed. Greetings, pings and the like pass, and nothing can happen to them.
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
