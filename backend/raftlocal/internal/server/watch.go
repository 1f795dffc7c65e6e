package server

import (
	"errors"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// watched is the member's directory. Whoever finds that it is not the member's any more, the log
// before it says that something is written, the loop, or watch while the loop waits for the
// disk, has told the clients when it hears of it.
type watched struct {
	disk.FS
	s *Server
}

func (w *watched) Check(names ...string) error {
	err := w.FS.Check(names...)
	if errors.Is(err, disk.ErrLost) {
		w.s.void(err)
	}
	return err
}

// mender is a listener that may have been removed, as a socket in a directory may.
type mender interface {
	// Mend makes it anew if it was, and reports that.
	Mend() (bool, error)
}

// watch looks after what others may remove. That the directory is lost ends the member in its
// loop, which does not look while it waits for a disk that hangs: so clients are told from here.
func (s *Server) watch() {
	listener, _ := s.cfg.Listener.(mender)
	var told string
	for s.pause(dirlock.Watch) {
		mended := false
		err := s.cfg.Member.FS.Check()
		if err == nil && listener != nil {
			mended, err = listener.Mend()
		}
		switch {
		case mended:
			s.logger.Warn("the socket was removed, and is there again", "member", s.cfg.Member.Name, "address", s.cfg.Listener.Addr().String())
		case err == nil:
			told = ""
		case errors.Is(err, disk.ErrLost): // the loop ends with it, and tells
		case told != err.Error():
			told = err.Error()
			s.logger.Error("what this member is reached by or writes to cannot be looked after", "member", s.cfg.Member.Name, "error", err)
		}
	}
}

// void tells all clients that nothing that was granted counts any more. It is so only where this
// member is the whole cluster: others have what it has.
func (s *Server) void(why error) {
	if role := s.role.Load(); role == nil || len(role.members) != 1 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.voided = why
	for cl := range s.clients {
		cl.end(voiding(why))
	}
}

// voiding tells one client.
func voiding(why error) func([]byte) []byte {
	return func(b []byte) []byte { return wire.AppendVoid(b, why.Error()) }
}

// admit notes a client, so that it is told of what void has to tell.
func (s *Server) admit(cl *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[cl] = struct{}{}
	if s.voided != nil {
		cl.end(voiding(s.voided))
	}
}

func (s *Server) dismissed(cl *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, cl)
}
