// Package fakemember is a member that is not one, for tests of clients: the state machine behind
// connections in memory, with no log, no disk and no others. It loses answers and goes silent
// when it is told to, in real time or a bubble's.
package fakemember

import (
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// state is a state machine, which members may share in place of a log.
type state struct {
	mu      sync.Mutex
	machine *statemachine.Machine
	start   time.Time
	index   uint64
	seen    map[uint64]uint64 // of each session the last command
}

func newState(self statemachine.Member) *state {
	return &state{machine: statemachine.New([]statemachine.Member{self}), start: time.Now(), seen: map[uint64]uint64{}}
}

func (s *state) now() int64 { return int64(time.Since(s.start)) }

// apply carries out commands.
func (s *state) apply(cmds []command.Command) ([]command.Answer, []command.Push) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range cmds {
		if n := cmds[i].Session; n != 0 {
			s.seen[n] = max(s.seen[n], cmds[i].Seq)
		}
	}
	var evicted []command.Push
	for i := range cmds {
		if c := &cmds[i]; c.Op == command.EvictClaim { // as a leader does
			number := s.machine.Grant(c.Key, c.AttemptID)
			if push, ok := s.machine.Eviction(number); ok {
				evicted = append(evicted, push)
			}
			cmds[i] = command.Command{Session: c.Session, Seq: c.Seq, Lowest: c.Lowest, Op: command.Release, Claims: []uint64{number}}
		}
	}
	s.index++
	out := s.machine.Apply(s.index, command.Batch{Stamp: s.now(), Commands: cmds})
	return slices.Clone(out.Answers), append(slices.Clone(out.Pushes), evicted...)
}

// read answers what needs no log.
func (s *state) read(cmd command.Command) (command.Reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case cmd.Op == command.Inspect:
		return command.Reply{Code: command.OK, Status: s.machine.Inspect(cmd.Key)}, true
	case cmd.Op == command.ListHeld:
		locks, next := s.machine.ListHeld(cmd.Key, cmd.Claims[0], int(cmd.Claims[1])) //nolint:gosec // small
		return command.Reply{Code: command.OK, Number: next, Locks: locks}, true
	case cmd.Op == command.Acquire && !cmd.Wait && s.machine.Busy(cmd.Key, cmd.AttemptID):
		is := s.machine.Inspect(cmd.Key)
		return command.Reply{Code: command.Held, Status: command.Status{Held: true, Meta: is.Meta, Left: is.Left}}, true
	}
	return command.Reply{}, false
}

// next is how long it takes until something ends.
func (s *state) next() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.machine.NextDeadline()
	return time.Duration(at - s.now()), ok
}

// endSessions ends all sessions.
func (s *state) endSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []command.Command
	for number, seq := range s.seen {
		all = append(all, command.Command{Session: number, Seq: seq + 1, Op: command.Close})
	}
	clear(s.seen)
	s.index++
	s.machine.Apply(s.index, command.Batch{Stamp: s.now(), Commands: all})
}
