package server

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

const (
	// scarcePause is the pause until it is tried again to make a file for which the member waits,
	// and spareAgain for one that it needs later. An attempt may write all that there is room for.
	scarcePause = 200 * time.Millisecond
	spareAgain  = time.Second
	// tellAgain is how often it is told that something is still missing.
	tellAgain = time.Minute
)

// want is what a member lacks to make a file: room on the disk, or file descriptors.
type want struct {
	why  error
	told time.Time
}

// wait is where a member waits that cannot go on until it can make a file. It is called in the
// loop, which hangs meanwhile, as with a disk that hangs: the others elect another leader. It is
// for the clients to find that one: they would be told here that somebody is alive.
func (s *Server) wait(why error) bool {
	s.lacks(why)
	if role := s.role.Load(); len(role.members) > 1 {
		aside := *role
		aside.leader = statemachine.Member{}
		s.role.Store(&aside) // the loop notes who leads when it goes on
		s.sendAway()
	}
	return s.pause(scarcePause)
}

// sendAway sends all clients to look for the leader.
func (s *Server) sendAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cl := range s.clients {
		cl.end(func(b []byte) []byte { return wire.AppendMoved(b, wire.Member{}) })
	}
}

// lacks notes what is missing, and tells it.
func (s *Server) lacks(why error) {
	s.mu.Lock()
	first := s.want.why == nil
	tell := first || time.Since(s.want.told) > tellAgain
	s.want.why = why
	if tell {
		s.want.told = time.Now()
	}
	s.mu.Unlock()
	if first {
		s.tellClients(why.Error())
	}
	if tell {
		s.logger.Error("a file cannot be made: this member goes on when it can", "cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name, "error", why)
	}
	if first {
		// As long as there is room in the file in use, another can take over in good order. If
		// there is nobody, nothing is changed.
		s.inbox.ask(func(m *member.Member) { _ = m.Transfer(0) })
	}
}

// tellClients tells all clients what keeps this member from serving; empty when that is over.
func (s *Server) tellClients(trouble string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cl := range s.clients {
		cl.tell(func(b []byte) []byte { return wire.AppendTrouble(b, trouble) })
	}
}

// lacksNothing notes that files can be made again.
func (s *Server) lacksNothing() {
	s.mu.Lock()
	again := s.want.why != nil
	s.want = want{}
	s.mu.Unlock()
	if again {
		s.tellClients("")
		s.logger.Info("files can be made again", "cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name)
	}
}

// Scarce reports whether the member waits for room on the disk, or for file descriptors.
func (s *Server) Scarce() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.why != nil
}

// Trouble is why the server has ended or what keeps it from going on, or nil.
func (s *Server) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil && !errors.Is(s.err, ErrStopped):
		return s.err
	case s.voided != nil:
		return s.voided
	}
	return s.want.why
}

// wantSpare lets prepare look.
func (l *loop) wantSpare() {
	select {
	case l.spare <- struct{}{}:
	default: // it is at it
	}
}

// prepare makes segments of the log before they are needed, beside the loop. It is the first to
// see that there is nothing left to make them of, while the segment in use has room.
func (s *Server) prepare() {
	var told time.Time
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.loop.spare:
		}
		switch err := s.loop.member.Prepare(); {
		case err == nil:
			s.lacksNothing()
		case errors.Is(err, disk.ErrScarce):
			s.lacks(err)
			s.pause(spareAgain)
		case !errors.Is(err, wal.ErrClosed) && time.Since(told) > tellAgain:
			told = time.Now()
			s.logger.Warn("the log cannot grow", "cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name, "error", err)
		}
	}
}
