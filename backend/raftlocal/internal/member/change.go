package member

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// stage is how far a change has come.
type stage uint8

const (
	stageAdd    stage = iota // those to be added shall be learners: they get the log but have no vote
	stageAdding              // the log has that
	stageCatch               // the learners read up; until then they would only make majorities harder
	stageSwitch              // they shall vote, and those to be removed shall not, from one entry on
	stageSwitching
)

func (s stage) String() string {
	return [...]string{"adding as learners", "adding as learners", "learners read up", "switching", "switching"}[s]
}

// plan is a change that this leader carries out. Another leader does not go on with it: it only
// leaves a joint configuration. To ask for the same again then is right, and goes on from where
// this was.
type plan struct {
	Change
	stage stage
}

// learnerLag is how many entries a learner may be behind to be given a vote.
const learnerLag = 128

// advancePlan takes the next step of a change, if it can be taken.
func (m *Member) advancePlan() {
	p := m.plan
	if p == nil || !m.serving {
		return
	}
	if p.stage == stageAdd {
		var changes []*raftpb.ConfChangeSingle
		for _, a := range p.Add {
			if !m.inCluster(a.ID) {
				changes = append(changes, single(raftpb.ConfChangeAddLearnerNode, a.ID))
			}
		}
		if len(changes) == 0 {
			p.stage = stageCatch
		} else if m.proposeChange(changes, p.Add) {
			p.stage = stageAdding
		}
	}
	if p.stage == stageCatch && m.caughtUp(p.Add) {
		p.stage = stageSwitch
	}
	if p.stage == stageSwitch {
		if voters, living := m.after(p.Change); 2*(living+len(p.Add)) <= voters || !m.caughtUp(p.Add) {
			return // until they are back
		}
		var changes []*raftpb.ConfChangeSingle
		for _, a := range p.Add {
			changes = append(changes, single(raftpb.ConfChangeAddNode, a.ID))
		}
		for _, id := range p.Remove {
			changes = append(changes, single(raftpb.ConfChangeRemoveNode, id))
		}
		// More than one is a joint configuration, which raft leaves by itself.
		if m.proposeChange(changes, p.Add) {
			p.stage = stageSwitching
		}
	}
}

func single(what raftpb.ConfChangeType, id uint64) *raftpb.ConfChangeSingle {
	return &raftpb.ConfChangeSingle{Type: what.Enum(), NodeId: new(id)}
}

// proposeChange reports whether raft has taken the proposal. It may still make an empty entry
// of it: see planRefused.
func (m *Member) proposeChange(changes []*raftpb.ConfChangeSingle, book []statemachine.Member) bool {
	return m.node.ProposeConfChange(&raftpb.ConfChangeV2{Changes: changes, Context: encodeBook(book)}) == nil
}

// planApplied notes that a change of the members is applied.
func (m *Member) planApplied() {
	if m.plan == nil || len(m.conf.GetVotersOutgoing()) > 0 {
		return
	}
	switch m.plan.stage {
	case stageAdding:
		m.plan.stage = stageCatch
	case stageSwitching:
		m.plan = nil
	}
}

// planRefused notes that raft has made an empty entry of a change, because another was not
// applied yet: it will be by the next time.
func (m *Member) planRefused() {
	if m.plan == nil {
		return
	}
	switch m.plan.stage {
	case stageAdding:
		m.plan.stage = stageAdd
	case stageSwitching:
		m.plan.stage = stageSwitch
	}
}

// caughtUp reports whether all of these follow closely.
func (m *Member) caughtUp(members []statemachine.Member) bool {
	for _, a := range members {
		ok := false
		m.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
			if id == a.ID {
				ok = p.State == tracker.StateReplicate && p.Match+learnerLag >= m.hard.GetCommit()
			}
		})
		if !ok || !m.alive(a.ID) {
			return false
		}
	}
	return true
}

// Change is a change of the members: to replace one, remove it and add another at once. Those
// that are added must have been opened with Join, or be about to, each under an id that no
// member ever had, as Draw gives them. A name may come back: a member is replaced by itself when
// its directory is lost.
type Change struct {
	Add    []statemachine.Member
	Remove []uint64
}

// Change begins a change of the members, which goes on in Flush; Status tells how far it is. It
// is refused if another is under way, and if those who are left would not be a majority of
// those who live.
func (m *Member) Change(c Change) error {
	switch {
	case m.err != nil:
		return m.err
	case !m.serving:
		return ErrNotLeader
	case m.plan != nil || len(m.conf.GetVotersOutgoing()) > 0:
		return ErrChanging
	}
	if err := m.checkChange(c); err != nil {
		return err
	}
	c = Change{Add: sortedBook(c.Add), Remove: slices.Compact(slices.Sorted(slices.Values(c.Remove)))}
	m.plan = &plan{Change: c}
	return nil
}

// Abandon gives up a change that does not get on. What is done of it stays: a member that is a
// learner by then can be removed by another change.
func (m *Member) Abandon() { m.plan = nil }

func (m *Member) checkChange(c Change) error {
	if len(c.Add)+len(c.Remove) == 0 {
		return fmt.Errorf("member: nothing to change: name who is to be added or removed")
	}
	book := m.Members()
	for _, id := range c.Remove {
		if !m.inCluster(id) {
			return fmt.Errorf("member: %x is no member: nothing to remove", id)
		}
	}
	left := slices.DeleteFunc(slices.Clone(book), func(b statemachine.Member) bool { return slices.Contains(c.Remove, b.ID) })
	for _, a := range c.Add {
		if slices.Contains(m.conf.GetVoters(), a.ID) {
			return fmt.Errorf("member: %q is a member already: to add another, start it with an empty directory", a.Name)
		}
		if slices.Contains(c.Remove, a.ID) || !m.inCluster(a.ID) && slices.ContainsFunc(m.machine.Members(), hasID(a.ID)) {
			return fmt.Errorf("member: %q was removed with the directory that it has, and cannot come back with it: start it with an empty one", a.Name)
		}
		// A learner that an earlier try left behind.
		left = slices.DeleteFunc(left, func(b statemachine.Member) bool { return b == a })
	}
	if err := checkBook(slices.Concat(left, c.Add)); err != nil {
		return err
	}
	voters, living := m.after(c)
	if voters == 0 {
		return fmt.Errorf("member: nobody would be left: stop the members instead")
	}
	// Those to be added live by the time that they vote.
	if living += len(c.Add); 2*living <= voters {
		return fmt.Errorf("member: of the %d members that would be left only %d are alive, which is no majority: bring back or replace those that are down first", voters, living)
	}
	return nil
}

// after returns how many would vote after a change, and how many of these are alive, without
// those to be added.
func (m *Member) after(c Change) (voters, living int) {
	for _, id := range m.conf.GetVoters() {
		if slices.Contains(c.Remove, id) {
			continue
		}
		voters++
		if m.alive(id) {
			living++
		}
	}
	return voters + len(c.Add), living
}

// alive reports whether a member was heard of within an election timeout.
func (m *Member) alive(id uint64) bool {
	at, ok := m.heard[id]
	return id == m.cfg.ID || ok && m.ticks-at <= uint64(m.cfg.ElectionTicks)
}
