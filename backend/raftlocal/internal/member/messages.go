package member

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// outgoing sorts the messages of a Ready into those that go out before the sync, and those that
// wait for it.
func (m *Member) outgoing(rd *raft.Ready) (early, late []*raftpb.Message) {
	msgs := m.worthwhile(rd)
	n := 0
	for _, msg := range msgs {
		if msg.GetType() == raftpb.MsgApp {
			n++
		}
	}
	switch {
	case n == len(msgs):
		return msgs, nil
	case n == 0:
		return nil, msgs
	}
	early, late = make([]*raftpb.Message, 0, n), make([]*raftpb.Message, 0, len(msgs)-n)
	for _, msg := range msgs {
		if msg.GetType() == raftpb.MsgApp {
			early = append(early, msg)
		} else {
			late = append(late, msg)
		}
	}
	return early, late
}

// worthwhile drops the messages whose only news is that an entry is committed. raft sends one to
// every follower for every entry, and gets an answer to each; but only the leader answers
// clients, so followers can learn it with the next entry or the next heartbeat, one tick later.
// To drop a message is what any network may do. These are kept, because something waits for
// them:
//
//   - those to a follower that has just answered a heartbeat: they are how raft finds out that
//     appends were lost;
//   - those to a follower that is being probed, or is to lead next;
//   - those with a change of the members: whoever is removed hears of it here or never.
func (m *Member) worthwhile(rd *raft.Ready) []*raftpb.Message {
	defer clear(m.beaten)
	msgs := rd.Messages
	if len(msgs) == 0 || m.heir != 0 || hasChange(rd.CommittedEntries) {
		return msgs
	}
	var steady map[uint64]bool
	var kept []*raftpb.Message
	for i, msg := range msgs {
		drop := false
		if msg.GetType() == raftpb.MsgApp && len(msg.GetEntries()) == 0 && !m.beaten[msg.GetTo()] {
			if steady == nil {
				steady = m.steady()
			}
			drop = steady[msg.GetTo()]
		}
		if drop && kept == nil {
			kept = append(make([]*raftpb.Message, 0, len(msgs)), msgs[:i]...)
		}
		if !drop && kept != nil {
			kept = append(kept, msg)
		}
	}
	if kept == nil {
		return msgs
	}
	return kept
}

// steady are the followers whose log is being followed without a hitch.
func (m *Member) steady() map[uint64]bool {
	steady := map[uint64]bool{}
	m.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		steady[id] = p.State == tracker.StateReplicate
	})
	return steady
}

func hasChange(entries []*raftpb.Entry) bool {
	for _, e := range entries {
		if e.GetType() != raftpb.EntryNormal {
			return true
		}
	}
	return false
}
