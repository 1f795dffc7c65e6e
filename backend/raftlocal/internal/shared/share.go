// Package shared lets processes share one member: the process that has the lock of the location runs it,
// and the others connect to it. When that process ends, another takes over from what is on the
// disk. There is no message between them for that: the kernel gives the lock to one.
//
// # Who may serve
//
// A directory has an owner, a user. Processes of that user serve; those of others, root among them, are
// guests: clients that never serve, never make the directory, and touch nothing in it. Guests are let
// in by a group, if the owner's processes ask for that: the directory becomes the group's with the mode 2750, the
// socket with 0660, and all other files stay the owner's with 0600. The kernel looks at these rights at
// each connect, so the server need not ask who is at the other end (SO_PEERCRED): all who get through may do
// the same.
//
// That two never serve does not rest on this, but on the lock of the directory: see package dirlock.
package shared

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

const (
	// lookAgain is how often it is looked for whether the place is free by who has not noticed
	// that the server is gone: nobody has used a lock here meanwhile.
	lookAgain = time.Second
	// eager is for how long it is looked for more often after a connection has ended: the
	// process that served may have lost the connection a moment before the lock.
	eager      = 500 * time.Millisecond
	eagerAgain = 5 * time.Millisecond
	// dialAgain is the pause between two attempts to connect while another takes over.
	dialAgain = 5 * time.Millisecond
	// dialFor is how long a Dial goes on.
	dialFor = 500 * time.Millisecond
)

// Share is one user's part in a place. It is safe for concurrent use.
type Share struct {
	location Location
	logger   *slog.Logger
	operate  func(*server.Server) http.Handler

	ctx     context.Context // ends when the share is closed
	quit    context.CancelFunc
	look    chan struct{} // has an element when the place may be free
	running chan struct{} // closed when run has ended

	mu      sync.Mutex
	serving *server.Server
	changed chan struct{} // closed when serving, or why, has changed
	why     error         // why this process cannot serve
	kill    bool          // the end is that of a crash
}

// Open takes part in a place, and serves it if nobody does. operate makes the handler of
// operators' requests to a server. The share leaves the place when it is closed, and also
// if it cannot be opened. ctx is for the opening.
func Open(ctx context.Context, place Location, operate func(*server.Server) http.Handler, logger *slog.Logger) (*Share, error) {
	s := &Share{
		location: place, operate: operate, logger: server.Logger(logger),
		look: make(chan struct{}, 1), running: make(chan struct{}), changed: make(chan struct{}),
	}
	s.ctx, s.quit = context.WithCancel(context.Background())
	release, err := s.try(ctx)
	if err != nil {
		s.quit()
		place.Leave()
		return nil, err
	}
	go s.run(release) //nolint:contextcheck // ctx is for the opening, and the share outlives it
	return s, nil
}

// try takes the place and serves. If another does that already, or this process is only a guest,
// release is nil, as is the error.
func (s *Share) try(ctx context.Context) (release func() error, err error) {
	files, release, err := s.location.Lock(ctx)
	var taken *dirlock.TakenError
	var guest *GuestError
	switch {
	case errors.As(err, &taken) && taken.Owner.Cluster != "" && taken.Owner.Cluster != Cluster:
		return nil, fmt.Errorf("%w; to use its locks, be a client of that cluster", err)
	case errors.As(err, &taken), errors.As(err, &guest):
		return nil, nil
	case err != nil:
		return nil, err
	}
	srv, err := s.serve(files) //nolint:contextcheck // the same
	if err != nil {
		return nil, errors.Join(err, release())
	}
	s.set(srv, nil)
	return release, nil
}

// serve starts the server. In an empty place its tokens begin at the wall clock: it may be a place
// in which others were granted that was removed.
func (s *Share) serve(files disk.FS) (*server.Server, error) {
	l, err := s.location.Listen()
	if err != nil {
		return nil, err
	}
	cfg := server.Config{
		Member: member.Config{
			Name: Member, Cluster: Cluster, FS: files,
			Members:   []statemachine.Member{{ID: member.ID(Cluster, Member), Name: Member}},
			TokenBase: uint64(max(time.Now().UnixMicro(), 0)),
		},
		Listener: l, Logger: s.logger,
	}
	var srv *server.Server
	// It may be asked before Start has returned.
	started := make(chan struct{})
	cfg.Operate = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-started
		s.operate(srv).ServeHTTP(w, r)
	})
	srv, err = server.Start(cfg)
	close(started)
	return srv, err
}

// set notes how it stands.
func (s *Share) set(srv *server.Server, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving, s.why = srv, why
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Share) standing() (srv *server.Server, changed <-chan struct{}, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving, s.changed, s.why
}

// run serves when it can, until the share is closed. release is not nil if it serves.
func (s *Share) run(release func() error) {
	defer close(s.running)
	defer s.location.Leave()
	var until time.Time // eager
	for {
		if release != nil {
			s.keep(release)
		} else if s.wait(until) {
			until = time.Now().Add(eager)
		}
		if s.ctx.Err() != nil {
			return
		}
		var err error
		if release, err = s.try(s.ctx); err != nil && s.ctx.Err() == nil {
			if _, _, why := s.standing(); why == nil || why.Error() != err.Error() {
				s.logger.Error("the locks cannot be served by this process", "error", err)
			}
			s.set(nil, err)
		}
	}
}

// wait waits until the place may be free, and reports whether there is a sign that it is.
func (s *Share) wait(eager time.Time) (sign bool) {
	d := lookAgain
	if time.Now().Before(eager) {
		d = eagerAgain
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.look:
		return true
	case <-s.ctx.Done():
	}
	return false
}

// keep serves until the server ends, or the share is closed, and then frees the place.
func (s *Share) keep(release func() error) {
	srv, _, _ := s.standing()
	select {
	case <-srv.Done():
	case <-s.ctx.Done():
		s.mu.Lock()
		kill := s.kill
		s.mu.Unlock()
		if kill {
			srv.Kill()
		} else {
			_ = srv.Stop(context.Background()) // bounded; what is on the disk is whole
		}
	}
	why := srv.Err()
	if errors.Is(why, server.ErrStopped) {
		why = nil
	}
	s.set(nil, why)
	if err := release(); err != nil {
		s.logger.Error("the lock of the directory", "error", err)
	}
}

// Trouble is why this share's server has ended, or cannot go on, or why there cannot be one; or nil.
func (s *Share) Trouble() error {
	srv, _, why := s.standing()
	if srv != nil {
		return srv.Trouble()
	}
	return why
}

// Guest reports whether the place belongs to another user, whose processes serve it.
func (s *Share) Guest() bool { return s.location.Guest() }

// Server is the server, if this share runs it, or nil.
func (s *Share) Server() *server.Server {
	srv, _, _ := s.standing()
	return srv
}

// Close ends this user's part. If it serves, another takes over at once.
func (s *Share) Close() {
	s.quit()
	<-s.running
}

// Kill does what the end of the process would do.
func (s *Share) Kill() {
	s.mu.Lock()
	s.kill = true
	s.mu.Unlock()
	s.Close()
}

// begin makes an empty log where there is nothing, in files that are shorter than those of a
// cluster's member: they are read whole at each take-over, for which somebody waits. Where there
// is something the member sees to it that it is all there.
func begin(files disk.FS, segment int64) error {
	names, err := files.List()
	if err != nil || slices.ContainsFunc(names, func(name string) bool { return name != dirlock.File }) {
		return err
	}
	id := wal.Identity{Cluster: Cluster, Member: member.ID(Cluster, Member), Name: Member}
	return wal.CreateSized(files, id, segment)
}
