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
// # Parts
//
// Each part has what only it uses, under a lock of its own: the door, where others come in; conns, the connections
// that are held; clients and inbound, whom they are handed to; peers, whom this member sends to; beginnings; scarce,
// what is missing on the disk; the log's parts told and clusterLog. All have self, which says who this is. Server has
// the loop. What goes up is a callback: Server.open of beginnings, clients.void of the directory, Server.Health of self.
//
// # Limits
//
// All that is kept for others is bounded. A client that sends more than can be worked off is read
// no further; one that does not take its answers is cut off. Messages to a member that does
// not take them are dropped, as a network may: raft sends them again.
package server

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// ErrStopped is what a server says that was stopped.
var ErrStopped = errors.New("this member has stopped")

// Server runs a member. It is safe for concurrent use.
type Server struct {
	*self
	inbox      *inbox
	loop       loop
	pipes      *network.Pipes // for our own process
	conns      conns
	told       told
	operators  operators
	clients    clients
	peers      peers
	inbound    inbound
	beginnings beginnings
	door       door
	scarce     scarce
	watched    watched
	logged     clusterLog   // of the loop
	turned     atomic.Int64 // when the last turn of the loop ended, since its start

	mu   sync.Mutex
	err  error         // why it has ended
	done chan struct{} // closed when all has ended
}

// Start opens the member and serves. One of several whose cluster has not begun waits for the
// others to begin with, after Start has returned. After an error nothing runs, and the listener
// is closed.
func Start(cfg Config) (*Server, error) {
	s := assemble(cfg)
	if err := s.beginnings.begin(); err != nil {
		s.quit()
		if cfg.Listener != nil {
			_ = cfg.Listener.Close() // says nothing that matters after err
		}
		return nil, err
	}
	s.operators.begin(s.self)
	s.running.Go(s.watched.watch)
	s.running.Go(func() { s.door.accept(s.pipes, true) })
	if cfg.Listener != nil {
		s.running.Go(func() { s.door.accept(cfg.Listener, false) })
	}
	go s.run()
	return s, nil
}

// assemble puts a server together that has not begun.
func assemble(cfg Config) *Server {
	own := newSelf(cfg)
	s := &Server{self: own, inbox: newInbox(), pipes: network.NewPipes(cfg.Member.Name), done: make(chan struct{})}
	own.health = s.Health
	s.conns.self = own
	s.conns.begin(openFiles())
	s.told = told{self: own, lines: map[string]time.Time{}}
	s.clients = clients{
		self: own, conns: &s.conns, inbox: s.inbox,
		byConn: map[member.Conn]*client{}, served: map[*client]struct{}{},
	}
	s.peers = peers{
		self: own, conns: &s.conns, told: &s.told, inbox: s.inbox,
		byID: map[uint64]*peer{}, known: map[uint64]*peer{},
	}
	s.inbound = inbound{
		self: own, conns: &s.conns, told: &s.told, inbox: s.inbox, peers: &s.peers,
		peer: map[uint64]*inboundPeer{},
	}
	s.beginnings = beginnings{
		self: own, conns: &s.conns, told: &s.told, open: s.open,
		heard: make(chan struct{}, 1), asks: map[string]*asking{},
	}
	s.door = door{
		self: own, conns: &s.conns, told: &s.told, operators: &s.operators,
		clients: &s.clients, inbound: &s.inbound, beginnings: &s.beginnings,
	}
	s.scarce = scarce{self: own, clients: &s.clients, inbox: s.inbox, spare: make(chan struct{}, 1)}
	s.watched = watched{self: own, FS: cfg.Member.FS, void: s.clients.void}
	s.logged = clusterLog{self: own, peers: s.Peers}
	own.cfg.Member.Callbacks, own.cfg.Member.Logger = callbacks{&s.peers, &s.clients}, own.logger
	own.cfg.Member.FS, own.cfg.Member.Wait = &s.watched, s.scarce.wait
	return s
}

// callbacks is the server as its member sees it.
type callbacks struct {
	*peers
	*clients
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
		return s.beginnings.notYet()
	}
	said := make(chan error, 1)
	if !s.inbox.ask(func(m *member.Member) { said <- f(m) }) {
		return ErrStopped
	}
	return s.await(ctx, said)
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
	return s.await(ctx, said)
}

// Peers tells how this member reaches the others, by name. While it is in no cluster, they are
// those whom it asks.
func (s *Server) Peers() []PeerState {
	all := s.peers.states(s.beginnings.asked())
	return slices.SortedFunc(slices.Values(all), func(a, b PeerState) int { return cmp.Compare(a.Name, b.Name) })
}

// Ask tells the member at an address how this one stands, and returns how that one does.
func (s *Server) Ask(ctx context.Context, addr string) (bootstrap.Standing, error) {
	return s.beginnings.ask(ctx, addr)
}

// LeaderChanges is how often another has come to lead, as this member has seen. It is for a Do.
func (s *Server) LeaderChanges() uint64 { return s.logged.changes }

// CertificateExpiry is when the certificate that is shown now runs out; the zero time if that is not known,
// or there is none.
func (s *Server) CertificateExpiry() time.Time {
	if s.cfg.Secure == nil {
		return time.Time{}
	}
	return s.cfg.Secure.Expiry()
}

// Leader is who leads, as far as this member knows, or the zero Member.
func (s *Server) Leader() statemachine.Member { return s.role.Load().leader }

// Context ends when the server does.
func (s *Server) Context() context.Context { return s.ctx }
