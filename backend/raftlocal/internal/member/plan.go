package member

import (
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
