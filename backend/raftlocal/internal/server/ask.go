package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// asking is a member of no cluster that asks another, again and again.
type asking struct {
	to    statemachine.Member
	wake  chan struct{}
	state PeerState // guarded by early
}

func (a *asking) now() {
	select {
	case a.wake <- struct{}{}:
	default: // it will
	}
}

// askAll begins to ask all others how they stand, until ctx ends or this member is in a cluster.
func (s *Server) askAll(ctx context.Context, all []statemachine.Member, hear func(bootstrap.Standing)) {
	s.early.Lock()
	defer s.early.Unlock()
	for _, p := range all {
		if p.Name == s.cfg.Member.Name {
			continue
		}
		a := &asking{to: p, wake: make(chan struct{}, 1), state: PeerState{Member: p}}
		s.asks[p.Name] = a
		s.running.Go(func() { s.keepAsking(ctx, a, hear) })
	}
}

func (s *Server) keepAsking(ctx context.Context, a *asking, hear func(bootstrap.Standing)) {
	pause := dialAgain
	for ctx.Err() == nil && len(s.role.Load().members) == 0 {
		theirs, err := s.Ask(ctx, a.to.Addr)
		err = network.Plain(err, network.Mute)
		if err == nil && theirs.Name != a.to.Name {
			err = fmt.Errorf("at %s is the member %q, and not the one that you look for: correct the addresses in peers=", a.to.Addr, theirs.Name)
		}
		if err == nil {
			hear(theirs)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil && theirs.Joins && s.cfg.Member.Join {
			err = errors.New("it waits to be added to a cluster, too: start the first members of a new cluster without join=true")
		}
		if s.note(a, err) {
			pause = dialAgain
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
			pause = min(2*pause, dialAgainMost)
		case <-a.wake:
			pause = dialAgain
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// note notes what came of asking, and reports whether that has changed.
func (s *Server) note(a *asking, err error) bool {
	s.early.Lock()
	state := PeerState{Member: a.to, Connected: err == nil, Refused: errors.Is(err, errRefused)}
	switch {
	case err != nil:
		state.Err = err.Error()
		if s.bootstrapper != nil {
			s.bootstrapper.Missed(a.to.Name)
		}
	case s.bootstrapper != nil:
		state.Err = s.bootstrapper.Waits(a.to.Name)
	}
	was := a.state
	a.state = state
	s.early.Unlock()
	if state.Err != was.Err && state.Err != "" {
		s.logger.Warn("the member is in no cluster yet, and waits for another", "member", s.cfg.Member.Name, "peer", a.to.Name, "addr", a.to.Addr, "error", state.Err)
	}
	return state.Err != was.Err
}

// asked tells of those whom this member asks, while it is in no cluster.
func (s *Server) asked() (all []PeerState) {
	if len(s.role.Load().members) > 0 {
		return nil
	}
	s.early.Lock()
	defer s.early.Unlock()
	for _, a := range s.asks {
		all = append(all, a.state)
	}
	return all
}

// standing is how this member stands.
func (s *Server) standing() bootstrap.Standing {
	own := s.cfg.Member
	s.early.Lock()
	defer s.early.Unlock()
	if s.bootstrapper != nil {
		return s.bootstrapper.Standing()
	}
	if len(s.role.Load().members) == 0 {
		return bootstrap.Standing{ID: s.id, Name: own.Name, Joins: true}
	}
	return bootstrap.Standing{ID: s.id, Name: own.Name, Bootstrapped: true, BootstrapHash: s.bootstrapHash}
}

// Ask tells the member at an address how this one stands, and returns how that one does. Of a
// member of the first release, which does not know of that, it returns what it tells everybody.
func (s *Server) Ask(ctx context.Context, addr string) (bootstrap.Standing, error) {
	theirs, err := s.askAs(ctx, addr, wire.Bootstrapper)
	if errors.Is(err, errRefused) {
		if first, worse := s.askAs(ctx, addr, wire.Client); worse == nil {
			return first, nil
		}
	}
	return theirs, err
}

var errAlone = errors.New("this one serves a directory, and reaches no members")

func (s *Server) askAs(ctx context.Context, addr string, role wire.Role) (theirs bootstrap.Standing, err error) {
	if s.Alone() {
		return theirs, errAlone
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	conn, err := s.cfg.Network.Dial(ctx, addr)
	if err != nil {
		return theirs, err
	}
	if !s.hold(conn) {
		_ = conn.Close() // nothing was said
		return theirs, ErrStopped
	}
	defer s.drop(conn)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // the reader sees that
	own := s.cfg.Member
	h := wire.Hello{Version: wire.Version, Cluster: own.Cluster, Role: role}
	if role == wire.Bootstrapper {
		h.Member, h.Name = s.id, own.Name
	}
	b := wire.AppendHello([]byte(wire.Preface), h)
	if role == wire.Bootstrapper {
		if b, err = appendAnswer(b, answer{Standing: s.standing()}); err != nil {
			return theirs, err
		}
	}
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // an error shows at the next call
	if _, err := conn.Write(b); err != nil {
		return theirs, err
	}
	t, body, err := wire.NewReader(conn).Next()
	switch {
	case errors.Is(err, io.EOF):
		return theirs, errors.New("it does not answer: it may be about to end")
	case err != nil:
		return theirs, err
	case t == wire.TypeRefusal:
		return theirs, fmt.Errorf("it %w: %s", errRefused, wire.ParseRefusal(body))
	case t == wire.TypePeerHandshake:
		a, err := parseAnswer(body)
		if err == nil && a.Says != "" {
			err = fmt.Errorf("it says: %s", a.Says)
		}
		return a.Standing, err
	case t == wire.TypeWelcome:
		w, err := wire.ParseWelcome(body)
		return bootstrap.Standing{ID: w.Member, Name: w.Name, Bootstrapped: len(w.Members) > 0, Joins: len(w.Members) == 0}, err
	}
	return theirs, fmt.Errorf("%s is no member of a cluster: correct the addresses in peers=", addr)
}

// answer is what is asked and answered. Says is a sentence, why the other cannot be in a cluster with
// whoever answers.
type answer struct {
	bootstrap.Standing
	Says string `json:"says,omitempty"`
}

func appendAnswer(dst []byte, a answer) ([]byte, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return dst, err
	}
	return wire.AppendPeerHandshake(dst, body)
}

// maxBase is what a proposal of a token base may be at most: far above all clocks, and far below
// where numbers end.
const maxBase = 1 << 61

func parseAnswer(body []byte) (a answer, err error) {
	if json.Unmarshal(body, &a) != nil || a.ID == 0 || a.Name == "" || a.Base > maxBase {
		return a, errors.New("a member must say how it stands: run the same release of fencelock on all members")
	}
	return a, nil
}

// serveEarly answers those who come in before this member is in a cluster, or before they are.
func (s *Server) serveEarly(c net.Conn, r *wire.Reader, h wire.Hello) {
	switch h.Role {
	case wire.Client:
		// It is told who this is, and that nobody leads. So it asks on.
		_, _ = c.Write(s.clientGreeting()) // who does not read it is gone
	case wire.Bootstrapper:
		t, body, err := r.Next()
		if err == nil && t != wire.TypePeerHandshake {
			err = errors.New("a member must say how it stands")
		}
		var theirs answer
		if err == nil {
			theirs, err = parseAnswer(body)
		}
		if err == nil && (theirs.ID != h.Member || theirs.Name != h.Name) {
			err = errors.New("the hello is of one member, and what follows of another")
		}
		if err != nil {
			s.refuse(c, err)
			return
		}
		why := s.excludes(theirs.Standing)
		if why == "" && !s.bootstrapped.Load() {
			s.hear(theirs.Standing)
		}
		if b, err := appendAnswer(nil, answer{s.standing(), why}); err == nil {
			_, _ = c.Write(b) // who does not read it is gone
		}
	default:
		// A member of the cluster that this one is to begin with. It dials again: see greeted.
	}
}

// excludes says why a member that stands so cannot be in a cluster with this member, as it is. What a
// initial member has to know it finds out by what it is answered.
func (s *Server) excludes(theirs bootstrap.Standing) string {
	own := s.cfg.Member.Name
	switch {
	case theirs.Name == own && theirs.ID == s.id:
		return fmt.Sprintf("the member %q has asked itself: correct the addresses in peers=", own)
	case theirs.Name == own && !s.bootstrapped.Load():
		return fmt.Sprintf("this is the member %q, as you say that you are, with another directory: end one of the two", own)
	case theirs.Joins:
		for _, m := range s.role.Load().members {
			if m.Name == theirs.Name && m.ID != theirs.ID {
				return fmt.Sprintf("the cluster has a member %q with another directory: if that is lost, replace it by itself: Admin.ReplaceMember, or POST /members?remove=%[1]s&add=%[1]s=%[2]s", m.Name, cmp.Or(m.Addr, "HOST:PORT"))
			}
		}
	}
	return ""
}
