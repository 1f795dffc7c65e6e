package raftlocal

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

// Status is how a cluster stands, in the eyes of one member. As JSON it is what a member says
// to GET /status.
type Status struct {
	Cluster string `json:"cluster"`
	Member  string `json:"member"` // who says this
	Leader  string `json:"leader"` // empty if it knows none
	// Serving says that this member leads and takes commands; false is nothing bad: one member does.
	Serving bool   `json:"serving"`
	Term    uint64 `json:"term"`

	// Change is how far a change of the members is that this leader carries out; empty if
	// there is none. While the cluster has not begun, it says for whom this member waits.
	Change  string         `json:"change,omitempty"`
	Members []MemberStatus `json:"members"`

	Log      LogStatus      `json:"log"`
	Snapshot SnapshotStatus `json:"snapshot"`

	// Sessions are those of clients; Clients are the connections of these to this member.
	Sessions int `json:"sessions"`
	Clients  int `json:"clients"`
	// Locks are the keys that are held; Waiters all who wait for one, LongestQueue those who wait
	// for the same.
	Locks        int    `json:"locks"`
	Waiters      int    `json:"waiters"`
	LongestQueue int    `json:"longest_queue"`
	LastToken    uint64 `json:"last_token"`
	// Clock is the cluster's time, which only passes while there is a leader.
	Clock time.Duration `json:"clock_ns"`
	// Pending are commands that wait to be written, or answered without that.
	Pending int `json:"pending"`
}

// MemberStatus is how one member stands.
type MemberStatus struct {
	Name string `json:"name"`
	Addr string `json:"addr,omitempty"`
	// Voter is true once a new member has read up.
	Voter bool `json:"voter"`
	// Leaving says that it is being removed.
	Leaving bool `json:"leaving,omitempty"`
	// Alive says whether it was heard of within an election timeout, and is nil where that is not known: only the
	// leader hears of all. Another knows of itself and the leader.
	Alive *bool `json:"alive,omitempty"`
	// Match is the last entry of the log that it is known to have, and Progress what the leader
	// sends it: probe, replicate or snapshot. Only the leader knows.
	Match    uint64 `json:"match,omitempty"`
	Progress string `json:"progress,omitempty"`
	// Connected says that the member who tells this can send to it; if not, Problem says why.
	Connected bool   `json:"connected"`
	Problem   string `json:"problem,omitempty"`
}

// LogStatus is how the log of one member stands.
type LogStatus struct {
	Last      uint64 `json:"last"`
	Committed uint64 `json:"committed"`
	Applied   uint64 `json:"applied"`
	Entries   int    `json:"entries"` // since the last snapshot
	Bytes     int    `json:"bytes"`   // of these
	// Frames is how many were written for as long as there has been a log: each by one write and
	// one fsync, with all the entries that came at once.
	Frames uint64 `json:"frames"`
}

// SnapshotStatus is the last snapshot of one member.
type SnapshotStatus struct {
	Index uint64 `json:"index"`
	Bytes int    `json:"bytes"`
}

// statusOf puts together what the member and its server know.
func statusOf(m member.Status, peers []server.PeerState) Status {
	s := Status{
		Cluster: m.Cluster, Member: m.Name, Leader: m.Leader.Name, Serving: m.Serving, Term: m.Term, Change: m.Change,
		Log:      LogStatus{Last: m.Last, Committed: m.Committed, Applied: m.Applied, Entries: m.LogEntries, Bytes: m.LogBytes, Frames: m.LogFrames},
		Snapshot: SnapshotStatus{Index: m.SnapshotIndex, Bytes: m.SnapshotBytes},
		Sessions: m.Machine.Sessions, Clients: m.Clients, Pending: m.Pending,
		Locks: m.Machine.Keys, Waiters: m.Machine.Waiters, LongestQueue: m.Machine.LongestQueue,
		LastToken: m.Machine.LastToken, Clock: time.Duration(m.Machine.Clock),
	}
	for _, p := range m.Members {
		one := MemberStatus{
			Name: p.Name, Addr: p.Addr, Voter: p.Voter, Leaving: p.Leaving, Alive: aliveOf(m, p),
			Match: p.Match, Progress: p.Progress, Connected: p.ID == m.ID,
		}
		for _, to := range peers {
			if to.ID == p.ID && to.Name == p.Name { // without an id as long as the cluster has not begun
				one.Connected, one.Problem = to.Connected, to.Err
			}
		}
		s.Members = append(s.Members, one)
	}
	return s
}

// aliveOf is nil where a member does not know: see MemberStatus.
func aliveOf(m member.Status, p member.MemberStatus) *bool {
	if !m.Leading && !p.Alive && p.ID != m.Leader.ID {
		return nil
	}
	return &p.Alive
}
