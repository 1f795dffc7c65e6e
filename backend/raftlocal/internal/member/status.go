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
	c, p, store := &m.consensus, &m.proposals, &m.store
	last, _ := store.storage.LastIndex()
	s := Status{
		ID: m.cfg.ID, Name: m.cfg.Name, Cluster: m.cfg.Cluster,
		Leader: m.Leader(), Leading: c.leading, Serving: c.serving, Term: c.hard.GetTerm(),
		Committed: c.hard.GetCommit(), Applied: m.state.applied, Last: last,
		SnapshotIndex: store.growth.snapshot, SnapshotBytes: store.growth.size, LogEntries: store.growth.entries, LogBytes: store.growth.bytes, LogFrames: store.log.Frames(),
		Counters: Counters{Elections: c.elections, Entries: p.entries, Commands: p.commands, Snapshots: store.taken, Syncs: store.log.Syncs()},
		Pending:  len(m.Clients.pending.commands) + m.Clients.reads.waiting, Clients: len(m.Clients.byConn),
		Machine: m.state.machine.Stats(), Err: c.err,
	}
	if plan := m.changes.plan; plan != nil {
		s.Change = plan.stage.String()
	} else if len(m.state.conf.GetVotersOutgoing()) > 0 {
		s.Change = stageSwitching.String()
	}
	for _, p := range m.state.book {
		s.Members = append(s.Members, MemberStatus{
			Member:  p,
			Voter:   slices.Contains(m.state.conf.GetVoters(), p.ID),
			Leaving: slices.Contains(m.state.conf.GetVotersOutgoing(), p.ID) && !slices.Contains(m.state.conf.GetVoters(), p.ID),
			Alive:   m.peers.alive(p.ID),
		})
	}
	if c.leading {
		c.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
			for i := range s.Members {
				if s.Members[i].ID == id {
					s.Members[i].Match, s.Members[i].Progress = p.Match, p.State.String()
				}
			}
		})
	}
	return s
}

// Members returns the address book of those who are members now, by id. It must not be changed;
// another replaces it when the members change.
func (m *Member) Members() []statemachine.Member { return m.state.book }

// Removed returns the ids of those who were members and are none any more.
func (m *Member) Removed() []uint64 { return m.state.removed() }

// Backup returns the state as it is applied here, for Config.State of a new cluster.
func (m *Member) Backup() []byte { return m.state.machine.Snapshot() }

// Leader returns who leads, or the zero Member if that is not known.
func (m *Member) Leader() statemachine.Member { return m.state.member(m.consensus.leader) }

// Serving reports whether this member leads and takes commands.
func (m *Member) Serving() bool { return m.consensus.serving }

// Watch looks whether the directory and the files in it are still the member's. If not, the
// member ends with a [disk.ErrLost]. That it could not be found out is no error here: before
// anything is granted it is.
func (m *Member) Watch() error {
	if m.consensus.err != nil {
		return m.consensus.err
	}
	names := m.store.log.Names()
	if m.store.growth.snapshot > 0 {
		names = append(names, snapshot.Name(m.store.growth.snapshot))
	}
	if err := m.cfg.FS.Check(names...); errors.Is(err, disk.ErrLost) {
		return m.consensus.fail(fmt.Errorf("member: %w", err))
	}
	return nil
}

// Prepare makes room for the log to go on, so that no Flush has to. It may be called from any
// goroutine, every second or so. It says what the disk says: an error that ends the member ends
// it in the next Flush, too.
func (m *Member) Prepare() error { return m.store.log.Prepare() }
