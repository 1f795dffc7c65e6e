package sim

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// model knows the rules of the state machine and nothing of how it keeps them: it goes
// through the log once more, with lists and loops, and says what each answer and each push
// must have been. Its numbers of sessions and claims are those that the machine gave.
type model struct {
	fail func(format string, args ...any)
	// ended hears of each claim that has ended for want of a renewal.
	ended func(c *modelClaim)
	// claimed hears of each attempt that gets a claim.
	claimed func(attemptID string)
	// stand is called whenever something may have changed.
	stand func(index uint64)

	clock    int64
	token    uint64 // the last one
	base     uint64
	number   uint64 // the greatest of any claim
	sessions []*modelSession
	queues   []*queue // of keys that have had a claim, in the order of their first
	expiries int
	handOffs int
}

// queue is the claims of a key; the first holds it.
type queue struct {
	key    string
	claims []*modelClaim
}

// modelClaim is a claim, as it must be.
type modelClaim struct {
	number, session uint64
	key, attemptID  string
	meta            string
	ttl             time.Duration
	deadline        int64
	token           uint64 // 0 while it waits
	// by is the command that last moved the deadline, or nobody's if it was a hand-off.
	by commandID
}

// commandID names a command of a client.
type commandID struct {
	session, seq uint64
}

// modelSession is a session. Replies are kept for ever, to know a command that ran twice.
type modelSession struct {
	number   uint64
	id       command.SessionID
	ttl      time.Duration
	deadline int64
	lowest   uint64
	replies  map[uint64]command.Reply
}

// apply takes an entry in, and says whether this outcome was right. It stops at the first
// thing that was not.
func (r *model) apply(index uint64, b command.Batch, answers []command.Answer, pushes []command.Push) {
	r.clock = max(r.clock, b.Stamp)
	due := r.expire(index)
	r.stand(index)
	if len(answers) != len(b.Commands) {
		r.fail("index %d: %d commands, %d answers", index, len(b.Commands), len(answers))
		return
	}
	for i := range b.Commands {
		cmd, got := &b.Commands[i], &answers[i]
		want, more := r.command(index, cmd, &got.Reply)
		due = append(due, more...)
		r.stand(index)
		if got.Session != cmd.Session || got.Seq != cmd.Seq || cmd.Op == command.Open && got.ID != cmd.ID || !sameReply(want, got.Reply) {
			r.fail("index %d: %v %d/%d of %q by %q: answered %+v, must be %+v", index, cmd.Op, cmd.Session, cmd.Seq, cmd.Key, cmd.AttemptID, *got, want)
			return
		}
	}
	if !slices.Equal(due, pushes) {
		r.fail("index %d: pushed %+v, must be %+v", index, pushes, due)
	}
}

// expire ends what has run out, in the order of the deadlines, and of the numbers.
func (r *model) expire(index uint64) (due []command.Push) {
	for {
		var next *modelClaim
		for _, q := range r.queues {
			for _, c := range q.claims {
				if c.deadline <= r.clock && (next == nil || c.deadline < next.deadline || c.deadline == next.deadline && c.number < next.number) {
					next = c
				}
			}
		}
		if next == nil {
			break
		}
		due = append(due, push(next, command.Expired))
		r.expiries++
		r.ended(next)
		due = append(due, r.remove(index, next)...)
	}
	r.sessions = slices.DeleteFunc(r.sessions, func(s *modelSession) bool { return s.deadline <= r.clock })
	return due
}

func (r *model) queue(key string) *queue {
	for _, q := range r.queues {
		if q.key == key {
			return q
		}
	}
	r.queues = append(r.queues, &queue{key: key})
	return r.queues[len(r.queues)-1]
}

func (r *model) claim(number uint64) *modelClaim {
	for _, q := range r.queues {
		for _, c := range q.claims {
			if c.number == number {
				return c
			}
		}
	}
	return nil
}

func (r *model) owned(key, attemptID string) *modelClaim {
	for _, c := range r.queue(key).claims {
		if c.attemptID == attemptID {
			return c
		}
	}
	return nil
}

func (r *model) modelSession(number uint64) *modelSession {
	for _, s := range r.sessions {
		if s.number == number {
			return s
		}
	}
	return nil
}
