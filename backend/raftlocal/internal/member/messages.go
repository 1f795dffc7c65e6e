package member

import (
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// maxTermsAhead is how far the term of a message may be above ours. A term rises by 1 in an
// election, and an election takes half a second at least: a member that was away while the others
// did nothing else for 68 years is that far behind. Whoever wants to bring terms to their end, where
// raft counts no further and every member stops, needs as many messages as this.
const maxTermsAhead = 1 << 32

// peers are the other members, as this one hears them.
type peers struct {
	cfg       *Config
	consensus *consensus
	state     *state
	log       *storage

	ticks   uint64
	heard   map[uint64]uint64 // the tick of the last message of a peer
	beaten  map[uint64]bool   // peers whose heartbeat was answered since the last Ready
	ignored uint64            // the tick at which it was told last that a message was ignored
}

// alive reports whether a member was heard of within an election timeout.
func (p *peers) alive(id uint64) bool {
	at, ok := p.heard[id]
	return id == p.cfg.ID || ok && p.ticks-at <= uint64(p.cfg.ElectionTicks)
}

// note notes that a message has come of a peer.
func (p *peers) note(msg *raftpb.Message) {
	if p.state.inCluster(msg.GetFrom()) {
		p.heard[msg.GetFrom()] = p.ticks
		if msg.GetType() == raftpb.MsgHeartbeatResp {
			p.beaten[msg.GetFrom()] = true
		}
	}
}

// hears reports whether a message is one to listen to. Its sender is who it says it is.
//
// What a member of the cluster has to say is heard, if its term is one that can have come about. Of
// somebody whom we do not know these are heard, for they may have become a member while we
// were away, and we may hear of that from nobody else:
//
//   - MsgApp, MsgHeartbeat and MsgSnap: a leader that we do not know has what we lack, that it is
//     one above all;
//   - MsgVote and MsgPreVote: its cluster may need our vote to have a leader again. To give it is
//     safe, since it depends on what is in its log and not on who it is.
//
// All others are not. Answers are to what we have sent, and we send to members only; one with a
// higher term would end a leader. MsgTimeoutNow is for who is as far as the leader, and knows it.
//
// And nobody whom we do not know is heard as long as we hear a leader that we know, or are one: so in a
// cluster that works, strangers can do nothing. Whoever should be heard is, one election timeout
// later: a leader of yesterday has no majority, and ends by that.
func (p *peers) hears(msg *raftpb.Message) bool {
	term, own := msg.GetTerm(), p.consensus.hard.GetTerm()
	switch {
	case term > math.MaxInt64, term > own && term-own > maxTermsAhead:
		return p.ignore(msg, "its term is far above ours, and cannot have come about")
	case p.state.inCluster(msg.GetFrom()):
		return true
	case p.consensus.leader != 0 && p.alive(p.consensus.leader):
		return p.ignore(msg, "it is no member, as far as our leader has told us")
	}
	switch msg.GetType() {
	case raftpb.MsgApp, raftpb.MsgSnap, raftpb.MsgVote, raftpb.MsgPreVote:
		return true
	case raftpb.MsgHeartbeat:
		// A leader tells us of no more than it knows that we have. From a member this shows that
		// our disk has lost something; see raftPanic.
		if last, err := p.log.LastIndex(); err != nil || msg.GetCommit() > last {
			return p.ignore(msg, "it is no member, and says that we have what we do not have")
		}
		return true
	default:
		return p.ignore(msg, "it is no member, and has nothing to answer")
	}
}

// ignoredAgain is after how many ticks it is told again that messages are ignored: a minute.
const ignoredAgain = 1200

// ignore tells why a message is not heard.
func (p *peers) ignore(msg *raftpb.Message, why string) bool {
	if p.ignored == 0 || p.ticks-p.ignored >= ignoredAgain {
		p.ignored = p.ticks + 1
		p.cfg.Logger.Warn("a message is ignored", "cluster", p.cfg.Cluster, "member", p.cfg.Name, "from", p.state.member(msg.GetFrom()).Name,
			"id", msg.GetFrom(), "type", msg.GetType().String(), "term", msg.GetTerm(), "reason", why)
	}
	return false
}

// outgoing sorts the messages of a Ready into those that go out before the sync, and those that
// wait for it. all: none of them is dropped.
func (p *peers) outgoing(rd *raft.Ready, all bool) (early, late []*raftpb.Message) {
	msgs := p.worthwhile(rd, all)
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

// worthwhile drops the messages that say only that an entry is committed. raft sends one to
// every follower for every entry, and gets an answer to each; but only the leader answers
// clients, so followers can learn it with the next entry or the next heartbeat, one tick later.
// To drop a message is what any network may do. These are kept, because something waits for
// them:
//
//   - those to a follower that has just answered a heartbeat: they are how raft finds out that
//     appends were lost;
//   - those to a follower that is being probed, or is to lead next;
//   - those with a change of the members: a member that is removed hears of it here or never.
func (p *peers) worthwhile(rd *raft.Ready, all bool) []*raftpb.Message {
	defer clear(p.beaten)
	msgs := rd.Messages
	if len(msgs) == 0 || all || hasChange(rd.CommittedEntries) {
		return msgs
	}
	var steady map[uint64]bool
	var kept []*raftpb.Message
	for i, msg := range msgs {
		drop := false
		if msg.GetType() == raftpb.MsgApp && len(msg.GetEntries()) == 0 && !p.beaten[msg.GetTo()] {
			if steady == nil {
				steady = p.steady()
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
func (p *peers) steady() map[uint64]bool {
	steady := map[uint64]bool{}
	p.consensus.node.WithProgress(func(id uint64, _ raft.ProgressType, f tracker.Progress) {
		steady[id] = f.State == tracker.StateReplicate
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
