package member

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

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

// changes are the changes of the members: the log's, and the one that this leader carries out.
type changes struct {
	consensus *consensus
	state     *state
	store     *store
	peers     *peers

	plan *plan
}

// learnerLag is how many entries a learner may be behind to be given a vote.
const learnerLag = 128

// advance takes the next step of a change, if it can be taken.
func (c *changes) advance() {
	p := c.plan
	if p == nil || !c.consensus.serving {
		return
	}
	if p.stage == stageAdd {
		var changes []*raftpb.ConfChangeSingle
		for _, a := range p.Add {
			if !c.state.inCluster(a.ID) {
				changes = append(changes, single(raftpb.ConfChangeAddLearnerNode, a.ID))
			}
		}
		if len(changes) == 0 {
			p.stage = stageCatch
		} else if c.propose(changes, p.Add) {
			p.stage = stageAdding
		}
	}
	if p.stage == stageCatch && c.caughtUp(p.Add) {
		p.stage = stageSwitch
	}
	if p.stage == stageSwitch {
		if voters, living := c.after(p.Change); 2*(living+len(p.Add)) <= voters || !c.caughtUp(p.Add) {
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
		if c.propose(changes, p.Add) {
			p.stage = stageSwitching
		}
	}
}

func single(what raftpb.ConfChangeType, id uint64) *raftpb.ConfChangeSingle {
	return &raftpb.ConfChangeSingle{Type: what.Enum(), NodeId: new(id)}
}

// propose reports whether raft has taken the proposal. It may still make an empty entry
// of it: see refused.
func (c *changes) propose(changes []*raftpb.ConfChangeSingle, book []statemachine.Member) bool {
	return c.consensus.node.ProposeConfChange(&raftpb.ConfChangeV2{Changes: changes, Context: encodeBook(book)}) == nil
}

// apply applies a change of the members: raft's part and the address book.
func (c *changes) apply(e *raftpb.Entry) error {
	if e.GetType() != raftpb.EntryConfChangeV2 {
		return fmt.Errorf("it is of type %d, which this version does not know: run the newest version", e.GetType())
	}
	var change raftpb.ConfChangeV2
	if err := proto.Unmarshal(e.GetData(), &change); err != nil {
		return err
	}
	added, err := decodeBook(change.GetContext())
	if err != nil {
		return err
	}
	// Until the address book is in step, no snapshot can be taken.
	c.store.storage.hold = true
	conf := c.consensus.node.ApplyConfChange(&change)
	c.store.storage.hold = false
	c.state.changeMembers(e.GetIndex(), conf, added)
	c.store.growth.force()
	c.applied()
	return nil
}

// applied notes that a change of the members is applied.
func (c *changes) applied() {
	if c.plan == nil || len(c.state.conf.GetVotersOutgoing()) > 0 {
		return
	}
	switch c.plan.stage {
	case stageAdding:
		c.plan.stage = stageCatch
	case stageSwitching:
		c.plan = nil
	}
}

// refused notes that raft has made an empty entry of a change, because another was not
// applied yet: it will be by the next time.
func (c *changes) refused() {
	if c.plan == nil {
		return
	}
	switch c.plan.stage {
	case stageAdding:
		c.plan.stage = stageAdd
	case stageSwitching:
		c.plan.stage = stageSwitch
	}
}

// caughtUp reports whether all of these follow closely.
func (c *changes) caughtUp(members []statemachine.Member) bool {
	for _, a := range members {
		ok := false
		c.consensus.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
			if id == a.ID {
				ok = p.State == tracker.StateReplicate && p.Match+learnerLag >= c.consensus.hard.GetCommit()
			}
		})
		if !ok || !c.peers.alive(a.ID) {
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
func (m *Member) Change(c Change) error { return m.changes.begin(c) }

func (c *changes) begin(to Change) error {
	switch {
	case c.consensus.err != nil:
		return c.consensus.err
	case !c.consensus.serving:
		return ErrNotLeader
	case c.plan != nil || len(c.state.conf.GetVotersOutgoing()) > 0:
		return ErrChanging
	}
	if err := c.check(to); err != nil {
		return err
	}
	to = Change{Add: sortedBook(to.Add), Remove: slices.Compact(slices.Sorted(slices.Values(to.Remove)))}
	c.plan = &plan{Change: to}
	return nil
}

// Abandon gives up a change that does not get on. What is done of it stays: a member that is a
// learner by then can be removed by another change.
func (m *Member) Abandon() { m.changes.plan = nil }

func (c *changes) check(to Change) error {
	if len(to.Add)+len(to.Remove) == 0 {
		return fmt.Errorf("member: nothing to change: name who is to be added or removed")
	}
	book := c.state.book
	for _, id := range to.Remove {
		if !c.state.inCluster(id) {
			return fmt.Errorf("member: %x is no member: nothing to remove", id)
		}
	}
	left := slices.DeleteFunc(slices.Clone(book), func(b statemachine.Member) bool { return slices.Contains(to.Remove, b.ID) })
	for _, a := range to.Add {
		if slices.Contains(c.state.conf.GetVoters(), a.ID) {
			return fmt.Errorf("member: %q is a member already: to add another, start it with an empty directory", a.Name)
		}
		if slices.Contains(to.Remove, a.ID) || !c.state.inCluster(a.ID) && slices.ContainsFunc(c.state.machine.Members(), hasID(a.ID)) {
			return fmt.Errorf("member: %q was removed with the directory that it has, and cannot come back with it: start it with an empty one", a.Name)
		}
		// A learner that an earlier try left behind.
		left = slices.DeleteFunc(left, func(b statemachine.Member) bool { return b == a })
	}
	if err := checkBook(slices.Concat(left, to.Add)); err != nil {
		return err
	}
	voters, living := c.after(to)
	if voters == 0 {
		return fmt.Errorf("member: nobody would be left: stop the members instead")
	}
	// Those to be added live by the time that they vote.
	if living += len(to.Add); 2*living <= voters {
		return fmt.Errorf("member: of the %d members that would be left only %d are alive, which is no majority: bring back or replace those that are down first", voters, living)
	}
	return nil
}

// after returns how many would vote after a change, and how many of these are alive, without
// those to be added.
func (c *changes) after(to Change) (voters, living int) {
	for _, id := range c.state.conf.GetVoters() {
		if slices.Contains(to.Remove, id) {
			continue
		}
		voters++
		if c.peers.alive(id) {
			living++
		}
	}
	return voters + len(to.Add), living
}
