package member

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// Status is how a member stands.
type Status struct {
	ID      uint64
	Name    string
	Cluster string
	Leader  statemachine.Member // the zero Member if not known
	Leading bool                // it leads
	Serving bool                // and takes commands
	Term    uint64

	Committed uint64 // the last entry that is known to be committed
	Applied   uint64
	Last      uint64 // the last entry of the log

	SnapshotIndex uint64
	SnapshotBytes int
	LogEntries    int // since the snapshot
	LogBytes      int
	LogFrames     uint64 // written, each by one fsync

	Counters

	Pending int // commands that wait to be proposed or read
	Clients int

	Members []MemberStatus
	Change  string // how far a change of the members is, or ""
	Machine statemachine.Stats
	Err     error // why it has ended
}

// Counters count from when the member was opened.
type Counters struct {
	Elections uint64 // for which this member has stood
	Entries   uint64 // that it has proposed, as the leader
	Commands  uint64 // in these
	Snapshots uint64 // that it has taken
	Syncs     wal.Syncs
}

func (m *Member) counters() Counters {
	c := m.counted
	c.Syncs = m.log.Syncs()
	return c
}

// MemberStatus is how a member stands in the eyes of this one.
type MemberStatus struct {
	statemachine.Member
	Voter    bool
	Leaving  bool // votes only until a change is done
	Alive    bool // it was heard of within an election timeout; only a leader hears of all
	Match    uint64
	Progress string // what the leader sends it: probe, replicate, snapshot
}

// Status tells how the member stands.
func (m *Member) Status() Status {
	last, _ := m.storage.LastIndex()
	s := Status{
		ID: m.cfg.ID, Name: m.cfg.Name, Cluster: m.cfg.Cluster,
		Leader: m.member(m.leader), Leading: m.leading, Serving: m.serving, Term: m.hard.GetTerm(),
		Committed: m.hard.GetCommit(), Applied: m.applied, Last: last,
		SnapshotIndex: m.growth.snapshot, SnapshotBytes: m.growth.size, LogEntries: m.growth.entries, LogBytes: m.growth.bytes, LogFrames: m.log.Frames(),
		Counters: m.counters(),
		Pending:  len(m.pending.commands) + m.reads.waiting, Clients: len(m.clients.byConn),
		Machine: m.machine.Stats(), Err: m.err,
	}
	if m.plan != nil {
		s.Change = m.plan.stage.String()
	} else if len(m.conf.GetVotersOutgoing()) > 0 {
		s.Change = stageSwitching.String()
	}
	for _, p := range m.Members() {
		s.Members = append(s.Members, MemberStatus{
			Member:  p,
			Voter:   slices.Contains(m.conf.GetVoters(), p.ID),
			Leaving: slices.Contains(m.conf.GetVotersOutgoing(), p.ID) && !slices.Contains(m.conf.GetVoters(), p.ID),
			Alive:   m.alive(p.ID),
		})
	}
	if m.leading {
		m.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
			for i := range s.Members {
				if s.Members[i].ID == id {
					s.Members[i].Match, s.Members[i].Progress = p.Match, p.State.String()
				}
			}
		})
	}
	return s
}

// Leader returns who leads, or the zero Member if that is not known.
func (m *Member) Leader() statemachine.Member { return m.member(m.leader) }

// Serving reports whether this member leads and takes commands.
func (m *Member) Serving() bool { return m.serving }

// Machine returns the state machine, to be looked at.
func (m *Member) Machine() *statemachine.Machine { return m.machine }

// Watch looks whether the directory and the files in it are still the member's. If not, the
// member ends with a [disk.ErrLost]. That it could not be found out is no error here: before
// anything is granted it is.
func (m *Member) Watch() error {
	if m.err != nil {
		return m.err
	}
	names := m.log.Names()
	if m.growth.snapshot > 0 {
		names = append(names, snapshot.Name(m.growth.snapshot))
	}
	if err := m.cfg.FS.Check(names...); errors.Is(err, disk.ErrLost) {
		return m.fail(fmt.Errorf("member: %w", err))
	}
	return nil
}

// Prepare makes room for the log to go on, so that no Flush has to. It may be called from any
// goroutine, every second or so. It says what the disk says: an error that ends the member ends
// it in the next Flush, too.
func (m *Member) Prepare() error { return m.log.Prepare() }
