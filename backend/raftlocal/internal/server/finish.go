package server

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// Stop ends the server in good order: leadership is handed over, clients are sent to the new
// leader, and what was answered is on its way. It takes a few seconds at most, less if ctx
// ends. What is on the disk is whole however it ends, so there is nothing to be done after an
// error, which is that of closing the files.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handover)
	defer cancel()
	moving := s.Do(ctx, func(m *member.Member) error { return m.Transfer(0) })
	if moving == nil {
		// Whether it succeeds or not, the others will have a leader soon.
		_ = s.When(ctx, func(m *member.Member) (bool, error) { return m.Leader().ID != s.id, nil })
	}
	s.quit()
	<-s.done
	if err := s.Err(); !errors.Is(err, ErrStopped) {
		return err
	}
	return nil
}

// Kill ends the server as the end of its process would: nobody is told, nothing is written.
func (s *Server) Kill() {
	s.cutOff(true)
	s.quit()
	<-s.done
}

// cutOff lets nobody in any more and closes connections: all, or those on which there is nothing
// more to say.
func (s *Server) cutOff(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c, h := range s.conns.all {
		if all || !h.lingers {
			_ = c.Close() // whoever uses it sees that
		}
	}
}

// linger lets a connection be until the last words are written on it.
func (s *Server) linger(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.conns.all[conn]; h != nil {
		h.lingers = true
	}
}

// finish ends all that the loop has begun, and then says that it is done.
func (s *Server) finish(why error) {
	s.quit()
	if s.cfg.Listener != nil {
		_ = s.cfg.Listener.Close() // nobody can come in anyway
	}
	_ = s.pipes.Close()
	for _, p := range s.loop.peers {
		p.retire()
	}
	if m := s.loop.member; m != nil {
		if err := m.Close(); err != nil && errors.Is(why, ErrStopped) {
			why = err // of the files; nothing was lost by it
		}
	}
	s.inbox.close()
	s.operators.end()
	s.cutOff(false)
	late := time.AfterFunc(farewell, func() { s.cutOff(true) })
	s.running.Wait()
	late.Stop()
	s.mu.Lock()
	s.err = why
	s.mu.Unlock()
	close(s.done)
}
