package server

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// wantSpare lets prepare look.
func (l *loop) wantSpare() {
	select {
	case l.spare <- struct{}{}:
	default: // it is at it
	}
}

// prepare makes segments of the log before they are needed, beside the loop.
func (s *Server) prepare() {
	var told time.Time
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.loop.spare:
		}
		err := s.loop.member.Prepare()
		if err != nil && !errors.Is(err, wal.ErrClosed) && time.Since(told) > time.Minute {
			told = time.Now()
			s.logger.Warn("the log cannot grow", "cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name, "error", err)
		}
	}
}
