package client

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

const (
	// headStart is how long one member is listened to before the next is asked as well. A
	// network that takes longer costs connections that are not needed, and no time.
	headStart = 100 * time.Millisecond
	// maxRedirects is how often one member's word for it that another leads is followed in a
	// round: when they contradict each other it is time to wait.
	maxRedirects = 3

	// A pause between rounds is an eighth of the time that it took until now, within bounds: it
	// is to delay nobody by much more, and not to keep members busy that cannot agree.
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond

	// A member has as long to be reached and to answer as it took until now, within bounds: a
	// connection that was begun while it could not be reached may never come about.
	leastGreeting = time.Second
	maxGreeting   = 5 * time.Second
)

// search looks for the leader. A member that is dead may take all the time it likes to show
// it, since the others are asked meanwhile.
type search struct {
	client  *Client
	hint    string   // where it is said to be
	left    string   // whom we have just left, who is asked last
	learned []string // addresses of members, as one of them has told

	// Of the search that is under way.
	ctx     context.Context
	began   time.Time
	answers chan answer
	asking  map[string]bool   // who has not answered yet
	said    map[string]report // the last that each has said
}

// answer is what came of asking one member.
type answer struct {
	addr    string
	link    *link // not nil if it leads
	welcome wire.Welcome
	report
}

// leader asks everybody until one of them leads. It returns nil when the client is closed.
//
// One that is found against others that are still being asked: those are cut off, and what
// they say is not listened to. Found against closed: the one that gets the link looks, see serve.
func (s *search) leader() *link {
	ctx, cancel := context.WithCancel(s.client.closing)
	defer cancel()
	s.ctx, s.began, s.answers = ctx, time.Now(), make(chan answer)
	s.asking, s.said = map[string]bool{}, map[string]report{}
	for {
		if l := s.round(); l != nil || ctx.Err() != nil {
			return l
		}
		s.lost()
		if l := s.pause(); l != nil || ctx.Err() != nil {
			return l
		}
	}
}

// round asks each member that is not being asked, the one first that is said to lead. It is
// over when nobody is left, and those who have not answered are slow.
func (s *search) round() (found *link) {
	places, redirects := s.places(), 0
	for len(places)+len(s.asking) > 0 {
		if len(places) > 0 {
			s.ask(places[0])
			places = places[1:]
		}
		a, ok := s.hear(headStart)
		switch {
		case a.link != nil:
			return a.link
		case s.ctx.Err() != nil:
			return nil
		case !ok && len(places) > 0:
			continue
		case !ok:
			return nil
		}
		if to := a.welcome.Leader.Addr; to != "" && !s.asking[to] && redirects < maxRedirects {
			redirects++
			places = slices.DeleteFunc(places, func(addr string) bool { return addr == to })
			places = slices.Insert(places, 0, to)
		}
	}
	return nil
}

// ask begins to ask a member.
func (s *search) ask(addr string) {
	s.asking[addr] = true
	ctx, answers := s.ctx, s.answers
	timeout := min(max(time.Since(s.began), leastGreeting), maxGreeting)
	s.client.running.Go(func() {
		l, w, says, err := s.greet(ctx, addr, timeout)
		select {
		case answers <- answer{addr, l, w, report{err, says}}:
		case <-ctx.Done():
			if l != nil {
				_ = l.conn.Close() // the search is over
			}
		}
	})
}

// hear waits for the next answer.
func (s *search) hear(wait time.Duration) (a answer, ok bool) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case a = <-s.answers:
	case <-t.C:
		return a, false
	case <-s.ctx.Done():
		return a, false
	}
	delete(s.asking, a.addr)
	s.said[a.addr] = a.report
	if a.err == nil {
		s.learn(a.welcome)
	}
	if a.link == nil {
		fault := s.fault()
		s.client.mu.Lock()
		s.client.fault = fault // for who cannot wait for the end of the round
		s.client.mu.Unlock()
	}
	return a, true
}

// quiet is for how long nobody is told that no leader is found: an election takes less.
const quiet = 2 * time.Second

// lost notes why there is no connection, after a round.
func (s *search) lost() {
	c, fault, refused, after := s.client, s.fault(), s.unwanted(), time.Since(s.began)
	c.mu.Lock()
	text := fault.Error()
	// Who has never been connected is being opened: that says why it fails.
	tell := c.told != text && (refused || c.met && after >= quiet)
	if tell {
		c.told = text
	}
	c.fault, c.refused, c.absent = fault, refused, c.cfg.AwayAfter > 0 && after >= c.cfg.AwayAfter && fault.absent()
	c.changedLocked()
	c.mu.Unlock()
	if tell {
		c.cfg.Logger.Warn("the cluster is not reachable", "reason", text)
	}
}

// fault is why nobody is found so far.
func (s *search) fault() *nobody {
	n := &nobody{addrs: slices.Clone(s.client.cfg.Addrs), reports: maps.Clone(s.said)}
	for _, addr := range s.learned {
		if !slices.Contains(n.addrs, addr) {
			n.addrs = append(n.addrs, addr)
		}
	}
	return n
}

// pause waits a random while before the next round. Who is slow may answer meanwhile.
func (s *search) pause() (found *link) {
	d := min(max(time.Since(s.began)/8, firstPause), maxPause)
	for end := time.Now().Add(d/2 + rand.N(d)); ; {
		a, ok := s.hear(time.Until(end))
		if !ok || a.link != nil {
			return a.link
		}
		s.hint = a.welcome.Leader.Addr
	}
}

// scatter waits a random moment after a leader was lost without a word: everybody else has
// lost it as well.
func (s *search) scatter() {
	t := time.NewTimer(firstPause/2 + rand.N(firstPause))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.client.closing.Done():
	}
}

// places are the addresses of all whom we do not ask already, in a random order, so that
// not all clients ask the same first.
func (s *search) places() []string {
	configured := slices.Clone(s.client.cfg.Addrs)
	rand.Shuffle(len(configured), func(i, j int) { configured[i], configured[j] = configured[j], configured[i] })
	all := slices.Concat([]string{s.hint}, configured, s.learned)
	var places []string
	for _, a := range all {
		if a != "" && a != s.left && !s.asking[a] && !slices.Contains(places, a) {
			places = append(places, a)
		}
	}
	if s.left != "" && !s.asking[s.left] && slices.Contains(all, s.left) {
		places = append(places, s.left)
	}
	s.hint, s.left = "", ""
	return places
}

func (s *search) learn(w wire.Welcome) {
	s.learned = s.learned[:0]
	for _, m := range w.Members {
		if m.Addr != "" { // as of who serves a directory, which is reached by its path
			s.learned = append(s.learned, m.Addr)
		}
	}
}

// unwanted reports whether most members refuse us, and nobody takes us: those that cannot be
// reached would not lead without them.
func (s *search) unwanted() bool {
	known, refusals := len(s.said), 0
	for addr := range s.asking {
		if _, answered := s.said[addr]; !answered {
			known++
		}
	}
	for _, r := range s.said {
		switch {
		case r.err == nil:
			return false
		case refusing(r.err):
			refusals++
		}
	}
	return refusals > known/2
}
