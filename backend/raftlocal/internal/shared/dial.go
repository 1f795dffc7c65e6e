package shared

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

// Dial connects to whoever serves the place, and takes over if nobody does. The address is
// not looked at: there is one.
func (s *Share) Dial(ctx context.Context, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	var said error // by the attempt before
	for {
		srv, changed, why := s.standing()
		conn, err := s.dial(ctx, srv)
		if err == nil {
			return conn, nil
		}
		// The time may be over in the middle of this one, which tells nothing then. The system knows that a moment
		// before ctx does.
		if end, _ := ctx.Deadline(); said != nil && !time.Now().Before(end) {
			err = said
		}
		said = err
		s.lookNow()
		t := time.NewTimer(dialAgain)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, errors.Join(why, err)
		case <-s.ctx.Done():
			t.Stop()
			return nil, net.ErrClosed
		}
		t.Stop()
	}
}

func (s *Share) dial(ctx context.Context, srv *server.Server) (net.Conn, error) {
	if srv != nil {
		return srv.Dial(ctx)
	}
	conn, err := s.place.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &watched{Conn: conn, ended: s.lookNow}, nil
}

// lookNow lets the share look whether the place is free.
func (s *Share) lookNow() {
	select {
	case s.look <- struct{}{}:
	default: // it will
	}
}

// watched is a connection that tells when it has ended: then the process at its other end may
// have, too.
type watched struct {
	net.Conn
	ended func()
	once  sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.once.Do(w.ended)
	}
	return n, err
}
