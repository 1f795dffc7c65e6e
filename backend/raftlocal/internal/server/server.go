// Package server runs a member: it gives a [member.Member], which starts nothing and reads no
// clock, a goroutine, a clock, a disk and a network.
//
// # The loop
//
// One goroutine has the member. It takes all that has come in, then flushes once, so that
// what came while the disk was busy shares the next sync. Nothing that it calls waits for
// anything but the disk: what goes out is put into buffers that other goroutines write.
//
//	connections ─► readers ─► inbox ─► loop: member, log, disk ─► buffers ─► writers
//
// # Connections
//
// One listener serves everybody; the first bytes tell who it is: TLS, within which it begins
// again, our own protocol (package wire) for clients and members, or HTTP for operators. A client
// is served for as long as this member leads. Members send each other messages on connections
// that go one way, so each has two of every other; a snapshot goes on one of its own, so that
// no heartbeat waits behind it.
//
// # Before there is a member
//
// A directory that is to begin a cluster with others has an id and no member yet. Until it has
// (bootstrap.go, ask.go), the server asks the others how they stand, answers the same, tells clients that
// nobody leads, and takes no messages of raft. Package bootstrap says when it is time.
//
// # Limits
//
// All that is kept for others is bounded. A client that sends more than can be worked off is read
// no further; one that does not take its answers is cut off. Messages to a member that does
// not take them are dropped, as a network may: raft sends them again.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// ErrStopped is what a server says that was stopped.
var ErrStopped = errors.New("this member has stopped")

// Server runs a member. It is safe for concurrent use.
type Server struct {
	cfg         Config
	logger      *slog.Logger
	id          uint64
	incarnation uint64 // of this process's run: see peerHandshake

	bootstrapped  atomic.Bool // the member is open
	bootstrapHash uint64      // what its cluster began with, hashed; read once it has begun
	beginnings

	inbox *inbox
	loop  loop
	pipes *network.Pipes // for our own process

	ctx    context.Context // ends when the server does
	quit   context.CancelFunc
	last   atomic.Uint64 // number of the last connection
	turned atomic.Int64  // when the last turn of the loop ended, since its start
	role   atomic.Pointer[role]

	mu      sync.Mutex
	conns   conns
	closed  bool // no more connections
	inbound map[uint64]*inboundPeer
	known   map[uint64]*peer // by member; written by the loop
	clients map[*client]struct{}
	told    map[string]time.Time // lines, and when: see once
	voided  error                // why nothing counts any more that was granted: see void
	want    want                 // what is missing to make a file: see lacks
	err     error                // why it has ended
	running sync.WaitGroup

	operators operators
	done      chan struct{} // closed when all has ended
}

// role is what a member says of itself to those who come in.
type role struct {
	leader  statemachine.Member
	members []statemachine.Member
	removed []uint64 // those who were members
}

// Start opens the member and serves. One of several whose cluster has not begun waits for the
// others to begin with, after Start has returned. After an error nothing runs, and the listener
// is closed.
func Start(cfg Config) (*Server, error) {
	s := &Server{
		cfg: cfg, logger: Logger(cfg.Logger), incarnation: newIncarnation(), inbox: newInbox(), pipes: network.NewPipes(cfg.Member.Name),
		inbound: map[uint64]*inboundPeer{}, known: map[uint64]*peer{},
		clients: map[*client]struct{}{}, told: map[string]time.Time{}, done: make(chan struct{}),
	}
	s.conns.begin(openFiles())
	s.ctx, s.quit = context.WithCancel(context.Background())
	s.cfg.Member.Callbacks, s.cfg.Member.Logger = (*callbacks)(s), s.logger
	s.cfg.Member.FS, s.cfg.Member.Wait = &watched{cfg.Member.FS, s}, s.wait
	s.loop.begin()
	s.role.Store(&role{})
	if err := s.begin(); err != nil {
		s.quit()
		if cfg.Listener != nil {
			_ = cfg.Listener.Close() // says nothing that matters after err
		}
		return nil, err
	}
	s.operators.begin(s)
	s.running.Go(s.watch)
	s.running.Go(func() { s.accept(s.pipes, true) })
	if cfg.Listener != nil {
		s.running.Go(func() { s.accept(cfg.Listener, false) })
	}
	go s.run()
	return s, nil
}

// ID is the member's number.
func (s *Server) ID() uint64 { return s.id }

// Self is the member that it runs.
func (s *Server) Self() statemachine.Member {
	return statemachine.Member{ID: s.id, Name: s.cfg.Member.Name, Addr: s.cfg.Addr}
}

// Alone reports whether this server reaches no others, and never will, as that of a directory.
func (s *Server) Alone() bool { return s.cfg.Network == nil }

// Cluster is the name of the cluster that this is a member of, or is to be.
func (s *Server) Cluster() string { return s.cfg.Member.Cluster }

// Dial connects to the server from within the process, without TLS.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return s.pipes.Dial(ctx) }

// Done is closed when the server has ended, of its own accord or not. Then nothing of it runs,
// and its files and its listener are closed.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server has ended, or nil as long as it has not: ErrStopped after Stop or Kill.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Do calls f with the member, in the loop, and returns what it does. f must not block or keep
// the member. If ctx ends first, f may be called later, or not. While the cluster has not begun
// there is no member, and the error is an [*NotBootstrappedError].
func (s *Server) Do(ctx context.Context, f func(*member.Member) error) error {
	if !s.bootstrapped.Load() {
		return s.notBootstrapped()
	}
	said := make(chan error, 1)
	if !s.inbox.ask(func(m *member.Member) { said <- f(m) }) {
		return ErrStopped
	}
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return ErrStopped
	}
}

// When calls f with the member, now and after each turn of the loop, until it says that it is
// done or has an error; while the cluster has not begun, as soon as it has. f must not block or keep the member.
func (s *Server) When(ctx context.Context, f func(*member.Member) (done bool, err error)) error {
	said := make(chan error, 1)
	w := func(m *member.Member) bool {
		done, err := false, ctx.Err()
		if err == nil {
			done, err = f(m)
		}
		if done || err != nil {
			said <- err
			return true
		}
		return false
	}
	if !s.inbox.ask(func(*member.Member) { s.loop.watchers = append(s.loop.watchers, w) }) {
		return ErrStopped
	}
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return ErrStopped
	}
}

// Leader is who leads, as far as this member knows, or the zero Member.
func (s *Server) Leader() statemachine.Member { return s.role.Load().leader }

// Context ends when the server does.
func (s *Server) Context() context.Context { return s.ctx }

const (
	// tick is the unit of the member's time.
	tick = 50 * time.Millisecond
	// helloTimeout bounds the time in which somebody must have said who they are.
	helloTimeout = 5 * time.Second
	// writeTimeout bounds one write to somebody who does not read.
	writeTimeout = 10 * time.Second
	// farewell bounds the time in which the last words are written when a member stops.
	farewell = time.Second
	// transferTimeout bounds the time in which leadership is transferred when a member stops.
	transferTimeout = 2 * time.Second

	// maxInbox is how many bytes each lane of the inbox takes before readers wait.
	maxInbox = 16 << 20
	// maxUnread is how much is kept for a client that does not read.
	maxUnread = 16 << 20
	// maxQueued is how many messages wait for a peer.
	maxQueued = 1024
)

// Config is what a server is started with.
type Config struct {
	// Member says what to run. Outside and Logger are the server's, and so are ID, Members, State
	// and TokenBase of a member of several: its directory tells them, or the initial members agree on them.
	Member member.Config
	// Listener is where all others come in; nil for a member that only its own process reaches.
	// It is closed by the server.
	Listener net.Listener
	// Network is how other members are dialled; nil for who is alone. If Secure is not nil, it dials with TLS.
	Network network.Network
	// Secure is TLS for those who come in; nil for none.
	Secure *network.Secure
	// Addr is where the others reach this member.
	Addr string
	// Peers are the members that a new cluster begins with, this one too, or those whom one asks
	// that is to join. They have no ids: these are drawn, see member.Draw. It says nothing once the
	// directory is in use.
	Peers []statemachine.Member
	// Operate answers operators; nil for nobody.
	Operate http.Handler
	Logger  *slog.Logger
}

// Logger is the logger to use where one may have been named: the process's own (slog.Default) if
// none was.
func Logger(named *slog.Logger) *slog.Logger {
	if named != nil {
		return named
	}
	return slog.Default().With("backend", "raft")
}
