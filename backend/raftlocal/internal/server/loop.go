package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// loop is what belongs to the goroutine that has the member.
type loop struct {
	member   *member.Member
	watchers []func(*member.Member) bool
	ticks    uint64
}

// watchTicks is how many ticks there are between two looks at the directory.
const watchTicks = uint64(dirlock.Watch / tick)

// run is the loop. It ends when the member fails, or the server is told to quit.
func (s *Server) run() {
	if err := s.beginnings.wait(); err != nil {
		s.finish(err)
		return
	}
	l := &s.loop
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	l.member.Campaign()
	err := s.turn(nil, nil)
	var members, clients []task
	for err == nil {
		ticked := false
		select {
		case <-s.inbox.ready:
		case <-ticker.C:
			ticked = true
		case <-s.ctx.Done():
			err = ErrStopped
			continue
		}
		if !ticked {
			// Among many messages a tick is not to be passed over.
			select {
			case <-ticker.C:
				ticked = true
			default:
			}
		}
		if ticked {
			l.member.Tick()
			s.scarce.wantSpare()
			s.logged.tick()
			if l.ticks++; l.ticks%watchTicks == 0 {
				if err = l.member.Watch(); err != nil {
					continue
				}
			}
		}
		began := time.Now()
		for again := true; again && err == nil; {
			serve := !l.member.Clients.Busy()
			members, clients = s.inbox.take(members, clients, serve)
			err = s.turn(members, clients)
			again = !serve && !l.member.Clients.Busy() && s.inbox.waiting()
		}
		if time.Since(began) >= tick {
			// The disk has hung. That time does not count, or this member would think that
			// nobody had spoken to it.
			ticker.Reset(tick)
		}
	}
	if errors.Is(err, disk.ErrScarce) && s.ctx.Err() != nil {
		err = ErrStopped // while it waited, and nothing has failed
	}
	s.finish(err)
}

// turn works off what came in, and does what is due.
func (s *Server) turn(members, clients []task) error {
	l := &s.loop
	for _, t := range members {
		t(l.member)
	}
	for _, t := range clients {
		t(l.member)
	}
	if err := l.member.Flush(s.age()); err != nil {
		return err
	}
	s.peers.reportUnreachable(l.member)
	s.look()
	s.turned.Store(int64(s.age()))
	l.watchers = slices.DeleteFunc(l.watchers, func(w func(*member.Member) bool) bool { return w(l.member) })
	return nil
}

// open opens the member. Connections that come in from now on are served.
func (s *Server) open(cfg member.Config) error {
	m, err := member.Open(cfg)
	if err != nil {
		return err
	}
	if s.bootstrapHash, err = bootstrapHashOf(cfg, m); err == nil && len(m.Members()) > 0 {
		err = bootstrap.Forget(cfg.FS)
	}
	if err != nil {
		return errors.Join(err, m.Close())
	}
	s.loop.member = m
	s.look()
	s.logged.warnOfPeers()
	s.running.Go(func() { s.scarce.prepare(m) })
	s.turned.Store(int64(s.age()))
	s.beginnings.done()
	return nil
}

// look notes who leads and who the members are, for those who come in, and keeps a
// connection to each.
func (s *Server) look() {
	l := &s.loop
	leader, members := l.member.Leader(), l.member.Members()
	if was := s.role.Load(); was != nil && was.leader == leader && slices.Equal(was.members, members) {
		return
	}
	s.role.Store(&role{leader, slices.Clone(members), l.member.Removed()})
	s.peers.keep(members)
	s.logged.tellRole(l.member, leader, members)
}

// Stop ends the server in good order: leadership is transferred, clients are sent to the new
// leader, and what was answered is on its way. It takes a few seconds at most, less if ctx
// ends. What is on the disk is whole however it ends, so there is nothing to be done after an
// error, which is that of closing the files.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
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
	s.conns.cutOff(true)
	s.quit()
	<-s.done
}

// finish ends all that the loop has begun, and then says that it is done.
func (s *Server) finish(why error) {
	s.quit()
	if s.cfg.Listener != nil {
		_ = s.cfg.Listener.Close() // nobody can come in anyway
	}
	_ = s.pipes.Close()
	for _, p := range s.peers.byID {
		p.retire()
	}
	if m := s.loop.member; m != nil {
		if err := m.Close(); err != nil && errors.Is(why, ErrStopped) {
			why = err // of the files; nothing was lost by it
		}
	}
	s.inbox.close()
	s.operators.end()
	s.conns.cutOff(false)
	late := time.AfterFunc(farewell, func() { s.conns.cutOff(true) })
	s.running.Wait()
	late.Stop()
	s.mu.Lock()
	s.err = why
	s.mu.Unlock()
	close(s.done)
}
