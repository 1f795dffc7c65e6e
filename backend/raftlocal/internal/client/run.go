package client

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// run looks for the leader whenever a connection is needed, and reads what it says.
func (c *Client) run() {
	s := search{client: c}
	for {
		select {
		case <-c.needed:
		case <-c.closing.Done():
			return
		}
		l := s.leader()
		if l == nil {
			return // closed
		}
		leader, err := c.serve(l)
		if c.closing.Err() != nil {
			return
		}
		s.hint, s.left = leader.Addr, l.addr
		c.cfg.Logger.Info("the connection to the leader has ended", "member", l.name, "reason", err)
		if !errors.Is(err, errMoved) || leader.Addr == "" {
			s.pause() // everybody else has lost it as well
		}
	}
}

// serve uses a connection until it ends.
func (c *Client) serve(l *link) (leader wire.Member, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		_ = l.conn.Close()
		return leader, errClosed
	}
	l.since = c.now()
	c.link, c.fault, c.refused = l, nil, false
	if c.session.Outstanding() > 0 {
		l.wakeLocked()
	}
	c.changedLocked()
	c.mu.Unlock()
	c.cfg.Logger.Info("connected to the leader", "member", l.name)

	stop := make(chan struct{})
	c.running.Go(func() { c.write(l); close(stop) })
	unhook := afterDone(c.closing, func() { l.close(errClosed) })
	c.cfg.Anew()
	leader, err = c.read(l)
	l.close(err)
	close(l.ended)
	<-stop
	unhook()

	c.mu.Lock()
	c.link, c.fault = nil, l.why
	events := c.session.Disconnected()
	if !c.closed && (c.session.Outstanding() > 0 || c.expecting > 0) {
		c.neededLocked()
	}
	c.changedLocked()
	c.mu.Unlock()
	c.handle(events)
	return leader, l.why
}

// search looks for the leader.
type search struct {
	client   *Client
	hint     string   // where it is said to be
	left     string   // whom we have just left, who is asked last
	learned  []string // addresses of members, as one of them has told
	failures int      // rounds without success, one after the other
}

// leader asks everybody until one of them leads. It returns nil when the client is closed.
func (s *search) leader() *link {
	for {
		l, err, refused := s.round()
		if s.client.closing.Err() != nil {
			if l != nil {
				_ = l.conn.Close()
			}
			return nil
		}
		if l != nil {
			s.failures = 0
			return l
		}
		s.client.lost(err, refused)
		s.failures++
		if !s.pause() {
			return nil
		}
	}
}

// mostRedirects is how often one member's word for it that another leads is followed in a
// round: when they contradict each other it is time to wait.
const mostRedirects = 3

// round asks each member once, the one first that is said to lead. If most refuse us, and
// nobody takes us, we are unwanted: those that cannot be reached would not lead without them.
func (s *search) round() (found *link, fault error, unwanted bool) {
	fault = errNoLeader
	places := s.places()
	asked, refusals, taken := 0, 0, false
	for redirects := 0; len(places) > 0 && s.client.closing.Err() == nil; {
		addr := places[0]
		places = places[1:]
		l, w, err := s.client.greet(addr, s.timeout())
		asked++
		switch {
		case err != nil:
			if refusing(err) {
				refusals++
			}
			if errors.Is(fault, errNoLeader) || refusing(err) && refusals == 1 {
				fault = err // a refusal says more than that another cannot be reached
			}
			continue
		case l != nil:
			s.learn(w)
			return l, nil, false
		}
		// It is a member, but does not lead.
		s.learn(w)
		taken = true
		if to := w.Leader.Addr; to != "" && redirects < mostRedirects {
			redirects++
			places = slices.DeleteFunc(places, func(a string) bool { return a == to })
			places = slices.Insert(places, 0, to)
		}
	}
	return nil, fault, !taken && refusals > asked/2
}

// places are all addresses, in a random order, so that not all clients ask the same first.
func (s *search) places() []string {
	configured := slices.Clone(s.client.cfg.Addrs)
	rand.Shuffle(len(configured), func(i, j int) { configured[i], configured[j] = configured[j], configured[i] })
	all := slices.Concat([]string{s.hint}, configured, s.learned)
	var places []string
	for _, a := range all {
		if a != "" && a != s.left && !slices.Contains(places, a) {
			places = append(places, a)
		}
	}
	if s.left != "" && slices.Contains(all, s.left) {
		places = append(places, s.left)
	}
	s.hint, s.left = "", ""
	return places
}

func (s *search) learn(w wire.Welcome) {
	s.learned = s.learned[:0]
	for _, m := range w.Members {
		s.learned = append(s.learned, m.Addr)
	}
}

const (
	firstPause = 10 * time.Millisecond
	mostPause  = 500 * time.Millisecond
	// mostGreeting bounds the time for one member to be reached and to answer.
	mostGreeting = 5 * time.Second
)

// timeout is short at first: a member that is dead must not keep us from the next.
func (s *search) timeout() time.Duration {
	return min(time.Second<<min(s.failures, 8), mostGreeting)
}

// pause waits a random while, which grows; it returns false when the client is closed.
func (s *search) pause() bool {
	d := min(firstPause<<min(s.failures, 8), mostPause)
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.client.closing.Done():
		return false
	}
}

// lost notes why there is no connection.
func (c *Client) lost(fault error, refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault == nil || c.fault.Error() != fault.Error() {
		c.cfg.Logger.Warn("no leader is found", "reason", fault)
	}
	c.fault, c.refused = fault, refused
	c.changedLocked()
}
