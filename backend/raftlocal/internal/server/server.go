package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

// ErrStopped is what a server says that was stopped.
var ErrStopped = errors.New("this member has stopped")

// Server runs a member. It is safe for concurrent use.
type Server struct {
	cfg    Config
	logger *slog.Logger
	id     uint64
	life   uint64 // of this process's run: see hello.go

	begun    atomic.Bool // the member is open
	founding uint64      // what its cluster began with, hashed; read once it has begun
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
	lives   map[uint64]*visitor
	known   map[uint64]*peer // by member; written by the loop
	clients map[*client]struct{}
	told    map[string]time.Time // lines, and when: see tell.go
	voided  error                // why nothing counts any more that was granted: see watch.go
	want    want                 // what is missing to make a file: see scarce.go
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
		cfg: cfg, logger: Logger(cfg.Logger), life: newLife(), inbox: newInbox(), pipes: network.NewPipes(cfg.Member.Name),
		lives: map[uint64]*visitor{}, known: map[uint64]*peer{},
		clients: map[*client]struct{}{}, told: map[string]time.Time{}, done: make(chan struct{}),
	}
	s.conns.begin(openFiles())
	s.ctx, s.quit = context.WithCancel(context.Background())
	s.cfg.Member.Outside, s.cfg.Member.Logger = (*outside)(s), s.logger
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
// there is no member, and the error is an [*UnbegunError].
func (s *Server) Do(ctx context.Context, f func(*member.Member) error) error {
	if !s.begun.Load() {
		return s.unbegun()
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
