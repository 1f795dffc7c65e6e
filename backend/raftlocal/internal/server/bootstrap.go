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
	*self
	conns *conns
	told  *told
	open  func(member.Config) error // Server.open

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
func (b *beginnings) begin() error {
	own := &b.cfg.Member
	if own.ID == 0 && len(own.Members) == 0 {
		id, begun, err := member.Draw(*own)
		if err != nil {
			return err
		}
		own.ID = id
		switch {
		case begun:
		case !own.Join:
			if b.bootstrapper, err = newBootstrapper(b.cfg); err != nil {
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
	b.id = own.ID
	if b.bootstrapper == nil {
		return b.open(*own)
	}
	if r, ready := b.bootstrapper.Record(); ready {
		return b.beginWith(r)
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

// wait returns when the member is open, or never will be. A member that is to join is open at
// once, and asks to be added.
//
// The time to begin may come as the server is stopped. If it is seen first, the member is opened, and
// the loop ends at once with what has begun on the disk; if not, the directory stays bound, and begins
// at its next start. A refusal that comes after the time to begin is not heard: over is set, and
// it could only be of a cluster that cannot be, by the argument in package bootstrap.
func (b *beginnings) wait() error {
	if b.bootstrapped.Load() {
		if b.cfg.Member.Join && len(b.role.Load().members) == 0 {
			b.logger.Info("this member waits to be added to its cluster: Admin.AddMember, or POST /members?add=NAME=HOST:PORT there; for one that has lost its directory Admin.ReplaceMember, or with remove=NAME as well",
				"cluster", b.cfg.Member.Cluster, "member", b.cfg.Member.Name, "addr", b.cfg.Addr)
			b.askAll(b.ctx, b.cfg.Peers, func(bootstrap.Standing) {})
		}
		return nil
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	b.early.Lock()
	others := b.bootstrapper.Others()
	b.early.Unlock()
	b.logger.Info("the cluster has not begun: all its members must be there once",
		"cluster", b.cfg.Member.Cluster, "member", b.cfg.Member.Name, "waits_for", bookOf(others))
	b.askAll(ctx, others, b.hear)
	look := time.NewTicker(stuckFor / 10)
	defer look.Stop()
	for {
		r, ready, err := b.standsReady()
		if err != nil {
			b.logger.Error("the member cannot begin", "cluster", b.cfg.Member.Cluster, "member", b.cfg.Member.Name, "error", err)
			return err
		}
		if ready {
			return b.beginWith(r)
		}
		select {
		case <-b.heard:
		case <-look.C:
			if err := b.cfg.Member.FS.Check(); errors.Is(err, disk.ErrLost) {
				return err
			}
		case <-b.ctx.Done():
			return ErrStopped
		}
	}
}

// hear records how another member stands.
func (b *beginnings) hear(theirs bootstrap.Standing) {
	b.early.Lock()
	defer b.early.Unlock()
	if b.over || b.bootstrapper == nil {
		return
	}
	before := b.bootstrapper.Standing()
	if err := b.bootstrapper.Hear(theirs); err != nil {
		b.over, b.refused = true, err
	}
	if b.bootstrapper.Standing() != before {
		for _, a := range b.asks {
			a.now() // so that they hear of it
		}
	}
	select {
	case b.heard <- struct{}{}:
	default: // it will look
	}
}

// standsReady returns what to begin with, if it is time to.
func (b *beginnings) standsReady() (r bootstrap.Record, ready bool, err error) {
	b.early.Lock()
	defer b.early.Unlock()
	if b.refused != nil {
		return r, false, b.refused
	}
	if r, ready = b.bootstrapper.Record(); ready {
		b.over = true
		return r, true, nil
	}
	switch why := b.bootstrapper.Stuck(); {
	case why == nil:
		b.stuck = time.Time{}
	case b.stuck.IsZero():
		b.stuck = time.Now()
	case time.Since(b.stuck) > stuckFor:
		b.over, b.refused = true, why
	}
	return r, false, b.refused
}

// beginWith opens the member of a directory that is bound to a record.
func (b *beginnings) beginWith(r bootstrap.Record) error {
	own := b.cfg.Member // which others read
	var err error
	if own.State, err = bootstrap.LoadState(own.FS); err != nil {
		return err
	}
	own.Members, own.TokenBase = r.Members, r.TokenBase
	if err := b.open(own); err != nil {
		return err
	}
	b.logger.Info("the cluster has begun", "cluster", own.Cluster, "member", own.Name)
	return nil
}

// done notes that the member is open.
func (b *beginnings) done() {
	b.bootstrapped.Store(true)
	b.early.Lock()
	defer b.early.Unlock()
	b.bootstrapper = nil // it may hold a large state
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

// notYet says that the cluster has not begun.
func (b *beginnings) notYet() error {
	e := &NotBootstrappedError{}
	for _, p := range b.asked() {
		if p.Err != "" || !p.Connected {
			e.Waits = append(e.Waits, p)
		}
	}
	return e
}
