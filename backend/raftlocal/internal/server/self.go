package server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// self is what a server is and knows of itself. All of its parts have it.
type self struct {
	cfg         Config
	logger      *slog.Logger
	id          uint64
	incarnation uint64    // of this process's run: see peerHandshake
	start       time.Time // its monotonic reading is what the member's time begins at

	bootstrapped  atomic.Bool // the member is open
	bootstrapHash uint64      // what its cluster began with, hashed; read once it has begun
	role          atomic.Pointer[role]
	health        func() error // Server.Health

	ctx     context.Context // ends when the server does
	quit    context.CancelFunc
	running sync.WaitGroup
}

func newSelf(cfg Config) *self {
	s := &self{cfg: cfg, logger: Logger(cfg.Logger), incarnation: newIncarnation(), start: time.Now()}
	s.ctx, s.quit = context.WithCancel(context.Background())
	s.role.Store(&role{})
	return s
}

// role is what a member says of itself to those who come in.
type role struct {
	leader  statemachine.Member
	members []statemachine.Member
	removed []uint64 // those who were members
}

// age is how long the server has run.
func (s *self) age() time.Duration { return time.Since(s.start) }

// pause waits, and reports whether the server goes on.
func (s *self) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// await returns what the loop says, unless ctx or the server ends first.
func (s *self) await(ctx context.Context, said <-chan error) error {
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return ErrStopped
	}
}

// greeting is the answer to a hello.
func (s *self) greeting() []byte {
	role := s.role.Load()
	w := wire.Welcome{Cluster: s.cfg.Member.Cluster, Member: s.id, Name: s.cfg.Member.Name, Leader: wire.Member(role.leader)}
	for _, m := range role.members {
		w.Members = append(w.Members, wire.Member(m))
	}
	return wire.AppendWelcome(nil, w)
}

// clientGreeting is the answer to a client: with what keeps this member from serving, if anything does.
func (s *self) clientGreeting() []byte {
	b := s.greeting()
	if why := s.health(); why != nil {
		b = wire.AppendTrouble(b, why.Error())
	}
	return b
}
