package server

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

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
