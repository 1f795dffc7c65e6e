package member

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// Open opens a member on its directory, and begins or joins a cluster if the directory is
// empty. What the log says is committed is carried out by the first Flush.
func Open(cfg Config) (*Member, error) {
	cfg = cfg.withDefaults()
	if !legalID(cfg.ID) {
		return nil, fmt.Errorf("member: the id %d is reserved: leave it out, or use another", cfg.ID)
	}
	exists, err := wal.Exists(cfg.FS)
	if err != nil {
		return nil, err
	}
	if !exists {
		if err := initLog(cfg); err != nil {
			return nil, err
		}
	}
	log, contents, err := wal.Open(cfg.FS, cfg.identity())
	if err != nil {
		return nil, err
	}
	m, err := load(cfg, log, contents)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return m, nil
}

// load puts together what the directory holds.
func load(cfg Config, log *wal.Log, contents wal.Contents) (*Member, error) {
	snap, err := snapshot.Load(cfg.FS, cfg.identity())
	if err != nil {
		return nil, err
	}
	if snap == nil && untouched(contents) && !cfg.Join {
		// The crash came after the log was made and before the first snapshot was.
		if snap, err = begin(cfg); err != nil {
			return nil, err
		}
	}
	if snap == nil && (!cfg.Join || len(contents.Entries) > 0) {
		return nil, errors.New("member: the directory has a log but no snapshot, so it is incomplete: " + disk.Cure)
	}
	m := assemble(cfg, log)
	if contents.Hard != nil {
		m.consensus.hard = contents.Hard
	}
	if snap != nil {
		state, err := statemachine.Restore(snap.GetData())
		if err != nil {
			return nil, fmt.Errorf("member: the snapshot at entry %d: %w", snap.GetMetadata().GetIndex(), err)
		}
		if err := m.store.install(snap, state); err != nil {
			return nil, err
		}
	}
	entries, err := m.store.continued(contents, m.consensus.hard)
	if err != nil {
		return nil, err
	}
	if err := m.store.storage.Append(entries); err != nil {
		return nil, err
	}
	return m, m.consensus.start(&m.state, m.store.storage)
}

// assemble puts a member together that knows nothing yet.
func assemble(cfg Config, log *wal.Log) *Member {
	m := &Member{cfg: cfg}
	m.state = state{id: cfg.ID, machine: statemachine.New(nil), conf: &raftpb.ConfState{}}
	m.store = store{cfg: &m.cfg, state: &m.state, log: log, storage: &storage{MemoryStorage: raft.NewMemoryStorage(), state: &m.state}}
	m.consensus = consensus{cfg: &m.cfg, ended: m.Clients.redirectAll, hard: &raftpb.HardState{}}
	m.peers = peers{
		cfg: &m.cfg, consensus: &m.consensus, state: &m.state, log: m.store.storage,
		heard: map[uint64]uint64{}, beaten: map[uint64]bool{},
	}
	m.transfer = transfer{consensus: &m.consensus, state: &m.state, peers: &m.peers}
	m.changes = changes{consensus: &m.consensus, state: &m.state, store: &m.store, peers: &m.peers}
	m.Clients = Clients{
		out: cfg.Callbacks, consensus: &m.consensus, state: &m.state, transfer: &m.transfer,
		byConn: map[Conn]*client{}, bySession: map[uint64]*client{}, opening: map[command.SessionID]*client{},
	}
	m.proposals = proposals{consensus: &m.consensus, state: &m.state, clients: &m.Clients, evictions: evictions{}}
	m.reader = reader{consensus: &m.consensus, state: &m.state, proposals: &m.proposals, clients: &m.Clients}
	return m
}

// firstIndex is where the log of a cluster begins: at a snapshot that all its initialMembers make for
// themselves. It is above 0, so a member that joins later is sent a snapshot.
const firstIndex = 1

// initLog makes the files of a member in an empty directory.
func initLog(cfg Config) error {
	id := cfg.identity()
	if cfg.Join {
		return wal.CreateSized(cfg.FS, id, cfg.SegmentBytes)
	}
	if len(cfg.Members) == 0 {
		return errors.New("member: the directory is empty: name the members that begin the cluster, or tell this one to join")
	}
	if err := checkInitialMembers(cfg); err != nil {
		return err
	}
	// A snapshot without a log is a member that has forgotten its votes, and is refused. A log that
	// nothing was written to yet, without a snapshot, is begun again. So the log comes first.
	switch snap, err := snapshot.Load(cfg.FS, id); {
	case err != nil:
		return err
	case snap != nil:
		return errors.New("member: the directory has a snapshot but no log, so it is incomplete: " + disk.Cure)
	}
	if err := wal.CreateSized(cfg.FS, id, cfg.SegmentBytes); err != nil {
		return err
	}
	_, err := begin(cfg)
	return err
}

// begin saves the snapshot that a cluster begins with: the same bytes at every initial member.
func begin(cfg Config) (*raftpb.Snapshot, error) {
	if err := checkInitialMembers(cfg); err != nil {
		return nil, err
	}
	state, err := Beginning(cfg)
	if err != nil {
		return nil, err
	}
	conf, index := &raftpb.ConfState{}, uint64(firstIndex)
	for _, f := range sortedBook(cfg.Members) {
		conf.Voters = append(conf.Voters, f.ID)
	}
	snap := &raftpb.Snapshot{
		Data:     state,
		Metadata: &raftpb.SnapshotMetadata{ConfState: conf, Index: &index, Term: new(uint64(1))},
	}
	return snap, snapshot.Save(cfg.FS, cfg.identity(), snap)
}

// Beginning returns the state of the machine with which a cluster begins, which is the same at
// every initial member.
func Beginning(cfg Config) ([]byte, error) {
	initialMembers := sortedBook(cfg.Members)
	state := statemachine.New(initialMembers)
	if cfg.State != nil {
		var err error
		if state, err = statemachine.Restore(cfg.State); err != nil {
			return nil, err
		}
		state.ApplyMembers(firstIndex, initialMembers)
	}
	state.RaiseTokens(cfg.TokenBase)
	return state.Snapshot(), nil
}
