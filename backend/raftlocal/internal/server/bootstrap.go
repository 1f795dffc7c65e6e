package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// stuckFor is how long it must seem that the initial members can never begin, until that is an error.
const stuckFor = 5 * time.Second

// beginnings is what a server has that has no member yet.
type beginnings struct {
	early        sync.Mutex // guards what follows
	bootstrapper *bootstrap.Bootstrapper
	over         bool  // it has begun, or never will
	refused      error // why it never will
	stuck        time.Time
	heard        chan struct{}      // has an element when the initial member has heard something
	asks         map[string]*asking // those whom it asks, by name
}

var errRestored = errors.New("the directory was restored from a backup, and founds a cluster with others: start it without join=true")

// begin opens the member, unless it has to agree with others first on what to begin with.
func (s *Server) begin() error {
	own := &s.cfg.Member
	s.heard, s.asks = make(chan struct{}, 1), map[string]*asking{}
	if own.ID == 0 && len(own.Members) == 0 {
		id, begun, err := member.Draw(*own)
		if err != nil {
			return err
		}
		own.ID = id
		switch {
		case begun:
		case !own.Join:
			if s.bootstrapper, err = newBootstrapper(s.cfg); err != nil {
				return err
			}
		default:
			if state, err := bootstrap.LoadState(own.FS); err != nil || state != nil {
				return cmp.Or(err, errRestored)
			}
		}
	}
	if own.ID == 0 {
		own.ID = member.ID(own.Cluster, own.Name) // it is alone, and begins with itself
	}
	s.id = own.ID
	if s.bootstrapper == nil {
		return s.open(*own)
	}
	if r, ready := s.bootstrapper.Record(); ready {
		return s.beginWith(r)
	}
	return nil
}

// newBootstrapper makes an initial member of a directory that has an id, and nothing else. What it says of
// itself is on the disk before it says it: the id since it was drawn, the base here, and what it
// is bound to in Bind.
func newBootstrapper(c Config) (*bootstrap.Bootstrapper, error) {
	own := c.Member
	state, err := bootstrap.LoadState(own.FS)
	if err != nil {
		return nil, err
	}
	saved, err := bootstrap.Load(own.FS)
	if err != nil {
		return nil, err
	}
	if saved == nil && state != nil {
		return nil, errors.New("the directory was not restored to the end: restore into an empty one")
	}
	if saved == nil {
		// The wall clock, so that tokens rise even if this cluster is in the place of one of which
		// everything is lost. A directory that was restored has one.
		saved = &bootstrap.Saved{Base: uint64(max(time.Now().UnixMicro(), 0))} //nolint:gosec // not negative
		if err := bootstrap.Save(own.FS, *saved); err != nil {
			return nil, err
		}
	}
	own.State = state
	beginning := func(r bootstrap.Record) ([]byte, error) {
		own := own
		own.Members, own.TokenBase = r.Members, r.TokenBase
		return member.Beginning(own)
	}
	if _, err := beginning(bootstrap.Record{}); err != nil {
		return nil, fmt.Errorf("the state that was restored: %w", err)
	}
	f := bootstrap.Config{
		Terms: bootstrap.Terms(own.Cluster, c.Peers, state), Base: saved.Base, Bound: saved.Bound,
		Bind: func(r bootstrap.Record) error {
			return bootstrap.Save(own.FS, bootstrap.Saved{Base: saved.Base, Bound: &r})
		},
		Hash: func(r bootstrap.Record) uint64 {
			b, err := beginning(r)
			if err != nil {
				panic(err) // it was read before
			}
			return hashOf(b)
		},
	}
	for _, p := range c.Peers {
		if p.Name == own.Name {
			f.Self = statemachine.Member{ID: own.ID, Name: p.Name, Addr: p.Addr}
		} else {
			f.Others = append(f.Others, statemachine.Member{Name: p.Name, Addr: p.Addr})
		}
	}
	if f.Self.Name == "" {
		return nil, fmt.Errorf("this member %q is not in the list of members: add it, or correct the name", own.Name)
	}
	return bootstrap.New(f)
}

// bootstrap returns when the member is open, or never will be. A member that is to join is open at
// once, and asks to be added.
//
// The time to begin may come as the server is stopped. If it is seen first, the member is opened, and
// the loop ends at once with what has begun on the disk; if not, the directory stays bound, and begins
// at its next start. A refusal that comes after the time to begin is not heard: over is set, and
// it could only be of a cluster that cannot be, by the argument in package bootstrap.
func (s *Server) bootstrap() error {
	if s.bootstrapped.Load() {
		if s.cfg.Member.Join && len(s.role.Load().members) == 0 {
			s.logger.Info("this member waits to be added to its cluster: Admin.AddMember, or POST /members?add=NAME=HOST:PORT there; for one that has lost its directory Admin.ReplaceMember, or with remove=NAME as well",
				"cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name, "addr", s.cfg.Addr)
			s.askAll(s.ctx, s.cfg.Peers, func(bootstrap.Standing) {})
		}
		return nil
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.early.Lock()
	others := s.bootstrapper.Others()
	s.early.Unlock()
	s.logger.Info("the cluster has not begun: all its members must be there once",
		"cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name, "waits_for", bookOf(others))
	s.askAll(ctx, others, s.hear)
	look := time.NewTicker(stuckFor / 10)
	defer look.Stop()
	for {
		r, ready, err := s.standsReady()
		if err != nil {
			s.logger.Error("the member cannot begin", "cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name, "error", err)
			return err
		}
		if ready {
			return s.beginWith(r)
		}
		select {
		case <-s.heard:
		case <-look.C:
			if err := s.cfg.Member.FS.Check(); errors.Is(err, disk.ErrLost) {
				return err
			}
		case <-s.ctx.Done():
			return ErrStopped
		}
	}
}

// hear records how another member stands.
func (s *Server) hear(theirs bootstrap.Standing) {
	s.early.Lock()
	defer s.early.Unlock()
	if s.over || s.bootstrapper == nil {
		return
	}
	before := s.bootstrapper.Standing()
	if err := s.bootstrapper.Hear(theirs); err != nil {
		s.over, s.refused = true, err
	}
	if s.bootstrapper.Standing() != before {
		for _, a := range s.asks {
			a.now() // so that they hear of it
		}
	}
	select {
	case s.heard <- struct{}{}:
	default: // it will look
	}
}

// standsReady returns what to begin with, if it is time to.
func (s *Server) standsReady() (r bootstrap.Record, ready bool, err error) {
	s.early.Lock()
	defer s.early.Unlock()
	if s.refused != nil {
		return r, false, s.refused
	}
	if r, ready = s.bootstrapper.Record(); ready {
		s.over = true
		return r, true, nil
	}
	switch why := s.bootstrapper.Stuck(); {
	case why == nil:
		s.stuck = time.Time{}
	case s.stuck.IsZero():
		s.stuck = time.Now()
	case time.Since(s.stuck) > stuckFor:
		s.over, s.refused = true, why
	}
	return r, false, s.refused
}

// beginWith opens the member of a directory that is bound to a record.
func (s *Server) beginWith(r bootstrap.Record) error {
	own := s.cfg.Member // which others read
	var err error
	if own.State, err = bootstrap.LoadState(own.FS); err != nil {
		return err
	}
	own.Members, own.TokenBase = r.Members, r.TokenBase
	if err := s.open(own); err != nil {
		return err
	}
	s.logger.Info("the cluster has begun", "cluster", own.Cluster, "member", own.Name)
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
	s.warnOfPeers()
	s.running.Go(s.prepare)
	s.turned.Store(int64(s.age()))
	s.bootstrapped.Store(true)
	s.early.Lock()
	s.bootstrapper = nil // it may hold a large state
	s.early.Unlock()
	return nil
}

// warnOfPeers tells of members that are not in peers=. A member with an empty directory can ask only
// those that are: one that began alone, and is to begin alone again, would ask nobody.
func (s *Server) warnOfPeers() {
	var lacks []string
	for _, m := range s.role.Load().members {
		if len(s.cfg.Peers) > 0 && !slices.ContainsFunc(s.cfg.Peers, func(p statemachine.Member) bool { return p.Name == m.Name }) {
			lacks = append(lacks, m.Name)
		}
	}
	if len(lacks) > 0 {
		s.logger.Warn("peers= lacks members of the cluster: list them, since they are whom this member asks if it loses its directory",
			"cluster", s.cfg.Member.Cluster, "member", s.cfg.Member.Name, "lacks", strings.Join(lacks, ", "))
	}
}

// NotBootstrappedError says that the cluster has not begun.
type NotBootstrappedError struct {
	// Waits are those who are waited for.
	Waits []PeerState
}

func (e *NotBootstrappedError) Error() string {
	var names []string
	for _, p := range e.Waits {
		names = append(names, away(p))
	}
	if len(names) == 0 {
		return "the cluster is about to begin"
	}
	slices.Sort(names)
	return "the cluster has not begun: it waits until all its members have been there once: start " + strings.Join(names, ", ")
}

func (s *Server) notBootstrapped() error {
	e := &NotBootstrappedError{}
	for _, p := range s.asked() {
		if p.Err != "" || !p.Connected {
			e.Waits = append(e.Waits, p)
		}
	}
	return e
}
