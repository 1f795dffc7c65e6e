package member

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// state is what the log has come to: the entry that is applied last, the state machine, and who the
// members are.
type state struct {
	id          uint64 // of this member
	machine     *statemachine.Machine
	conf        *raftpb.ConfState
	book        []statemachine.Member // those with a part in conf
	applied     uint64
	appliedTerm uint64
}

// install makes a snapshot the state.
func (s *state) install(snap *raftpb.Snapshot, machine *statemachine.Machine) {
	s.machine = machine
	s.conf = snap.GetMetadata().GetConfState()
	s.applied, s.appliedTerm = snap.GetMetadata().GetIndex(), snap.GetMetadata().GetTerm()
	s.noteBook()
}

// changeMembers takes over a change of the members, which was applied to raft: the address book.
func (s *state) changeMembers(index uint64, conf *raftpb.ConfState, added []statemachine.Member) {
	s.conf = conf
	s.machine.ApplyMembers(index, bookOf(conf, s.machine.Members(), added))
	s.noteBook()
}

// removed returns the ids of those who were members and are none any more.
func (s *state) removed() (ids []uint64) {
	for _, p := range s.machine.Members() {
		if !s.inCluster(p.ID) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// noteBook takes the members of now out of the whole book.
func (s *state) noteBook() {
	s.book = slices.DeleteFunc(slices.Clone(s.machine.Members()), func(p statemachine.Member) bool { return !s.inCluster(p.ID) })
}

// member returns who has a number, or only the number.
func (s *state) member(id uint64) statemachine.Member {
	if i := slices.IndexFunc(s.book, hasID(id)); i >= 0 {
		return s.book[i]
	}
	return statemachine.Member{ID: id}
}

// inCluster reports whether a member has a part in the configuration.
func (s *state) inCluster(id uint64) bool {
	c := s.conf
	return slices.Contains(c.GetVoters(), id) || slices.Contains(c.GetLearners(), id) ||
		slices.Contains(c.GetVotersOutgoing(), id) || slices.Contains(c.GetLearnersNext(), id)
}

// gone reports whether the cluster has removed this member. One that waits for its first
// snapshot knows no configuration at all.
func (s *state) gone() bool { return len(s.conf.GetVoters()) > 0 && !s.inCluster(s.id) }

// readable reports whether a command is to be answered without the log: it asks, or it takes a
// lock only if it is free and it is not. If it is free in the end, it goes into the log.
func (s *state) readable(cmd *command.Command) bool {
	return cmd.Op.ReadOnly() || cmd.Op == command.Acquire && !cmd.Wait && s.machine.Busy(cmd.Key, cmd.AttemptID)
}
