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
func (b *beginnings) askAll(ctx context.Context, all []statemachine.Member, hear func(bootstrap.Standing)) {
	b.early.Lock()
	defer b.early.Unlock()
	for _, p := range all {
		if p.Name == b.cfg.Member.Name {
			continue
		}
		a := &asking{to: p, wake: make(chan struct{}, 1), state: PeerState{Member: p}}
		b.asks[p.Name] = a
		b.running.Go(func() { b.keepAsking(ctx, a, hear) })
	}
}

func (b *beginnings) keepAsking(ctx context.Context, a *asking, hear func(bootstrap.Standing)) {
	pause := dialAgain
	for ctx.Err() == nil && len(b.role.Load().members) == 0 {
		theirs, err := b.ask(ctx, a.to.Addr)
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
		if err == nil && theirs.Joins && b.cfg.Member.Join {
			err = errors.New("it waits to be added to a cluster, too: start the first members of a new cluster without join=true")
		}
		if b.note(a, err) {
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
func (b *beginnings) note(a *asking, err error) bool {
	b.early.Lock()
	state := PeerState{Member: a.to, Connected: err == nil, Refused: errors.Is(err, errRefused)}
	switch {
	case err != nil:
		state.Err = err.Error()
		if b.bootstrapper != nil {
			b.bootstrapper.Missed(a.to.Name)
		}
	case b.bootstrapper != nil:
		state.Err = b.bootstrapper.Waits(a.to.Name)
	}
	was := a.state
	a.state = state
	b.early.Unlock()
	if state.Err != was.Err && state.Err != "" {
		b.logger.Warn("the member is in no cluster yet, and waits for another", "member", b.cfg.Member.Name, "peer", a.to.Name, "addr", a.to.Addr, "error", state.Err)
	}
	return state.Err != was.Err
}

// asked tells of those whom this member asks, while it is in no cluster.
func (b *beginnings) asked() (all []PeerState) {
	if len(b.role.Load().members) > 0 {
		return nil
	}
	b.early.Lock()
	defer b.early.Unlock()
	for _, a := range b.asks {
		all = append(all, a.state)
	}
	return all
}

// standing is how this member stands.
func (b *beginnings) standing() bootstrap.Standing {
	own := b.cfg.Member
	b.early.Lock()
	defer b.early.Unlock()
	if b.bootstrapper != nil {
		return b.bootstrapper.Standing()
	}
	if len(b.role.Load().members) == 0 {
		return bootstrap.Standing{ID: b.id, Name: own.Name, Joins: true}
	}
	return bootstrap.Standing{ID: b.id, Name: own.Name, Bootstrapped: true, BootstrapHash: b.bootstrapHash}
}

// ask tells the member at an address how this one stands, and returns how that one does. Of a
// member of the first release, which does not know of that, it returns what it tells everybody.
func (b *beginnings) ask(ctx context.Context, addr string) (bootstrap.Standing, error) {
	theirs, err := b.askAs(ctx, addr, wire.Bootstrapper)
	if errors.Is(err, errRefused) {
		if first, worse := b.askAs(ctx, addr, wire.Client); worse == nil {
			return first, nil
		}
	}
	return theirs, err
}

var errAlone = errors.New("this one serves a directory, and reaches no members")

func (b *beginnings) askAs(ctx context.Context, addr string, role wire.Role) (theirs bootstrap.Standing, err error) {
	if b.cfg.Network == nil {
		return theirs, errAlone
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	conn, err := b.cfg.Network.Dial(ctx, addr)
	if err != nil {
		return theirs, err
	}
	if !b.conns.hold(conn) {
		_ = conn.Close() // nothing was said
		return theirs, ErrStopped
	}
	defer b.conns.drop(conn)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // the reader sees that
	own := b.cfg.Member
	h := wire.Hello{Version: wire.Version, Cluster: own.Cluster, Role: role}
	if role == wire.Bootstrapper {
		h.Member, h.Name = b.id, own.Name
	}
	said := wire.AppendHello([]byte(wire.Preface), h)
	if role == wire.Bootstrapper {
		if said, err = appendAnswer(said, answer{Standing: b.standing()}); err != nil {
			return theirs, err
		}
	}
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // an error shows at the next call
	if _, err := conn.Write(said); err != nil {
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

// serve answers those who come in before this member is in a cluster, or before they are.
func (b *beginnings) serve(c net.Conn, r *wire.Reader, h wire.Hello) {
	switch h.Role {
	case wire.Client:
		// It is told who this is, and that nobody leads. So it asks on.
		_, _ = c.Write(b.clientGreeting()) // who does not read it is gone
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
			b.told.refuse(c, err)
			return
		}
		why := b.excludes(theirs.Standing)
		if why == "" && !b.bootstrapped.Load() {
			b.hear(theirs.Standing)
		}
		if said, err := appendAnswer(nil, answer{b.standing(), why}); err == nil {
			_, _ = c.Write(said) // who does not read it is gone
		}
	default:
		// A member of the cluster that this one is to begin with. It dials again: see greeted.
	}
}

// excludes says why a member that stands so cannot be in a cluster with this member, as it is. What a
// initial member has to know it finds out by what it is answered.
func (b *beginnings) excludes(theirs bootstrap.Standing) string {
	own := b.cfg.Member.Name
	switch {
	case theirs.Name == own && theirs.ID == b.id:
		return fmt.Sprintf("the member %q has asked itself: correct the addresses in peers=", own)
	case theirs.Name == own && !b.bootstrapped.Load():
		return fmt.Sprintf("this is the member %q, as you say that you are, with another directory: end one of the two", own)
	case theirs.Joins:
		for _, m := range b.role.Load().members {
			if m.Name == theirs.Name && m.ID != theirs.ID {
				return fmt.Sprintf("the cluster has a member %q with another directory: if that is lost, replace it by itself: Admin.ReplaceMember, or POST /members?remove=%[1]s&add=%[1]s=%[2]s", m.Name, cmp.Or(m.Addr, "HOST:PORT"))
			}
		}
	}
	return ""
}
