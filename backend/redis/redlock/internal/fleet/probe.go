package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

const (
	firstPause = 20 * time.Millisecond  // after a look that found the node unfit
	longPause  = time.Second            // the longest between two looks
	shortPause = 100 * time.Millisecond // the shortest between two looks at a node that is fit
	lookWithin = 4 * time.Second        // so that Open, which has 5, knows what came of it
)

var errSilent = passing("no answer within %v", lookWithin)

// run looks at the node as long as it takes no part, and does what is to be done about it, until the
// fleet is closed. While the node is fit it sleeps: requests, or the subscription, find out when that ends.
func (m *Member) run() {
	ctx := m.fleet.closing
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		s := m.look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.at = began
		st := m.fleet.observed(m.index, s)
		if st.do != rest && m.perform(ctx, s, st) {
			continue
		}
		if st.fit() {
			pause = firstPause
			m.sleep(ctx, 0)
			for ctx.Err() == nil && m.Fit() == nil && time.Since(began) < shortPause {
				m.sleep(ctx, shortPause-time.Since(began)) // each request that a full server refuses asks for a look
			}
			continue
		}
		wait := pause
		if !st.until.IsZero() {
			wait = min(longPause, max(time.Until(st.until), 0)+time.Millisecond)
		}
		m.sleep(ctx, wait/2+mathrand.N(wait/2+1)) //nolint:gosec // no secret
		pause = min(2*pause, longPause)
	}
}

// sleep sleeps until the member is kicked, or for a time if that is not zero.
func (m *Member) sleep(ctx context.Context, d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
	case <-m.wakeup:
	case <-over:
	}
}

// look looks at the server, and makes it ready for requests.
func (m *Member) look(ctx context.Context) observation {
	ctx, cancel := context.WithTimeoutCause(ctx, lookWithin, errSilent)
	defer cancel()
	explain := func(err error) error { return err }
	if watches := m.fleet.conf.Watch; len(watches) > 0 && watches[m.index] != nil && !m.fleet.isOpen() {
		ctx, explain = watches[m.index](ctx)
	}
	s := m.ask.look(ctx)
	if s.err == nil {
		s.err = m.prepare(ctx, s.run)
	}
	if s.err = explain(s.err); s.err != nil {
		return observation{seen: true, run: s.run, err: s.err}
	}
	return s
}

// prepare makes our scripts known to a process, asks whether all is allowed, and subscribes.
func (m *Member) prepare(ctx context.Context, run string) error {
	c := m.fleet.conf
	if m.prepared != run {
		all := append(append([]*node.Script{}, ownScripts...), script.All...)
		if err := m.ask.server.Prepare(ctx, all, c.Keys.Permissions(c.Channel)); err != nil {
			return err
		}
		m.prepared = run
	}
	if !m.subscribed {
		if err := m.ask.server.Subscribe(ctx, c.Channel, m.heard, m.again); err != nil {
			return err
		}
		m.subscribed = true
	}
	return nil
}

// heard records a message.
func (m *Member) heard(payload string) {
	if n, ok := script.Notice(payload); ok {
		m.notify(n)
	}
}

// again records that the subscription is back: messages may have been lost, and the server been
// restarted.
func (m *Member) again() {
	m.wake()
	m.notify(wire.Notice{Kind: wire.NoticesLost})
}

func (m *Member) notify(n wire.Notice) {
	if position := m.position.Load(); position >= 0 {
		m.fleet.conf.Notify(int(position), n)
	}
}

// perform does what a step says, and reports whether the node is to be looked at at once.
func (m *Member) perform(ctx context.Context, s observation, st step) bool {
	var err error
	done := true
	switch st.do {
	case claim:
		_, err = m.ask.claim(ctx, newIdentity())
	case adopt:
		var raise counters
		if st.raise != notNeeded {
			raise, err = m.fleet.gather(ctx, m.index)
		}
		if st.raise == ifPossible {
			err = nil
		}
		if err == nil {
			done, err = m.ask.adopt(ctx, s, st, raise)
		}
	case rest:
	}
	if err != nil {
		m.fleet.failed(m.index, err)
	}
	return done && err == nil
}

// failed has the reason known why a step could not be done.
func (f *Fleet) failed(i int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps[i].err = err
	f.members[i].publish(f.observations[i], f.steps[i])
}

// gather reads the counters of the other nodes: of a majority that is certified, and if there is none,
// of all that answer.
//
// A token that the node has forgotten was written to a majority, so to a majority less one of the others:
// whichever majority of the others is read, it has one of those. Nodes that are not certified may have
// forgotten it, too; then the clock, where a counter of theirs is missing, makes tokens most likely rise.
func (f *Fleet) gather(ctx context.Context, i int) (c counters, err error) {
	fit, uncertain := f.others(i)
	quorum := len(f.members)/2 + 1
	var mu sync.Mutex
	read := 0
	ask := func(m *Member, cert record) {
		one, err := m.ask.read(ctx, cert)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			c.raise(one)
			read++
		}
	}
	var reading sync.WaitGroup
	for m, cert := range fit {
		reading.Go(func() { ask(m, cert) })
	}
	reading.Wait()
	if read < quorum && len(fit) >= quorum {
		return c, passing("the counters of the other nodes cannot be read")
	}
	if read < quorum {
		for _, m := range uncertain {
			reading.Go(func() { ask(m, record{}) })
		}
		reading.Wait()
	}
	return c, nil
}

func newIdentity() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
