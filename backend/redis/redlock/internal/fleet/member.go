package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// Member is one node of a fleet. It implements wire.Node: it sends what it is given while the node is
// fit, and answers at once while it is not, so that a node that is dead or silent costs nothing after the
// first time.
type Member struct {
	fleet    *Fleet
	index    int
	name     string
	ask      asker
	log      *slog.Logger
	state    atomic.Pointer[state]
	position atomic.Int32  // in Fleet.Nodes; -1 before
	wakeup   chan struct{} // looks again

	// Of run only.
	prepared   string // the run_id of the process that knows our scripts
	subscribed bool

	// Under fleet.mu.
	suspected bool            // since a request failed; until run has looked
	logged    map[string]bool // what the log was told since the node took part
}

// state is whether a member may be asked.
type state struct {
	cert string // what the node's record must be
	run  string // the process that it certifies
	err  error  // why not; nil if it may
}

var _ wire.Node = (*Member)(nil)

// Name is the node's address.
func (m *Member) Name() string { return m.name }

// Fit is nil while the node may be asked.
func (m *Member) Fit() error { return m.state.Load().err }

// errEnded: nobody waits for the answer any more.
var errEnded = fmt.Errorf("%w: %w: the request has ended", wire.ErrNotSent, driver.ErrUnavailable)

// Send sends a request to the process that was certified, and to no other: see wire.Node.
func (m *Member) Send(ctx context.Context, r wire.Request, timeout time.Duration, done func(reply any, err error)) {
	st := m.state.Load()
	switch {
	case st.err != nil:
		done(nil, &reason{wire.ErrNotSent, inWords(st.err)})
		return
	case ctx.Err() != nil:
		done(nil, errEnded)
		return
	}
	s, keys, args := m.fleet.conf.Keys.Encode(st.cert, r)
	m.ask.server.Go(&node.Call{
		Ctx: ctx, Timeout: timeout, Script: s, Keys: keys, Args: args, Boot: st.run,
		Done: func(reply any, err error) {
			if err == nil {
				reply, err = m.fleet.conf.Keys.Decode(r, reply)
			}
			if err != nil {
				done(nil, m.failed(ctx, st, err))
				return
			}
			done(reply, nil)
		},
	})
}

// failed sorts the error of a request, and remembers what it says of the node: one that has not answered, or
// is not what it was, is asked no more until a look finds it fit.
func (m *Member) failed(ctx context.Context, st *state, err error) error {
	sorted := node.Classify(context.Background(), err) //nolint:contextcheck // the end of the caller's says nothing of the node
	var boot *node.BootError
	_, unfit := script.Unfit(err)
	switch {
	case errors.Is(err, node.ErrClosed):
		return fmt.Errorf("%w: %w: %w", wire.ErrNotSent, driver.ErrUnavailable, err)
	case unfit:
		sorted = &reason{driver.ErrRefused, passing("the node has changed since it was looked at")}
		m.suspect(st, sorted)
	case errors.As(err, &boot):
		sorted = &reason{wire.ErrNotSent, passing("the server has been restarted")}
		m.suspect(st, sorted)
	case errors.Is(err, node.ErrNotSent):
		sorted = fmt.Errorf("%w: %w", wire.ErrNotSent, sorted)
		if ctx.Err() == nil && !errors.Is(err, node.ErrFull) { // too many at once would take away all nodes together
			m.suspect(st, sorted)
		}
	case errors.Is(sorted, driver.ErrRefused), !errors.Is(sorted, driver.ErrUnavailable):
		// It answers, so that it may be asked; but it may have become a replica.
		m.wake()
	default:
		m.suspect(st, sorted)
	}
	return inWords(ofKind(sorted))
}

// suspect has a member take no part until a look finds it fit, unless one has since the request was made.
func (m *Member) suspect(st *state, err error) {
	m.fleet.mu.Lock()
	current := m.state.Load() == st
	if current {
		m.state.Store(&state{err: err})
		m.suspected = true
	}
	m.fleet.mu.Unlock()
	if current {
		m.wake()
	}
}

// wake has the node looked at soon.
func (m *Member) wake() {
	select {
	case m.wakeup <- struct{}{}:
	default:
	}
}

// publish lets requests through, or not, and tells the log. It needs fleet.mu.
func (m *Member) publish(s observation, st step) {
	now := m.state.Load()
	switch {
	case !st.fit():
		if now.err == nil || !m.suspected {
			m.state.Store(&state{err: ofKind(st.err)})
		}
	case m.suspected: // what was seen is older than that
	case now.err != nil || now.cert != s.cert.String():
		m.state.Store(&state{cert: s.cert.String(), run: s.run})
	}
	if m.fleet.opened {
		m.tell(s, st)
	}
}

// tell tells the log of a node that takes no part, and that it does again: once for an outage and reason.
// Of servers that cannot be reached address.Contact tells. It needs fleet.mu.
func (m *Member) tell(s observation, st step) {
	switch {
	case st.fit() && len(m.logged) > 0:
		m.logged = nil
		go m.log.Info("fencelock: the node takes part again") // nobody waits for the log
	case st.fit(), st.do != rest, unreached(s):
	case !m.logged[st.err.Error()]:
		m.note(st.err)
		go m.log.Warn("fencelock: the node takes no part", "err", inWords(st.err)) // nobody waits for the log
	}
}

// note notes that the log has been told.
func (m *Member) note(err error) {
	if m.logged == nil {
		m.logged = make(map[string]bool)
	}
	m.logged[err.Error()] = true
}

// unreached reports whether a look has ended without an answer.
func unreached(s observation) bool {
	return s.err != nil && errors.Is(s.err, driver.ErrUnavailable) && !errors.Is(s.err, driver.ErrRefused)
}
