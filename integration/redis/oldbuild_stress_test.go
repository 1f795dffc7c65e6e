package redis_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/oldbuild"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// mixture is three processes of an old build and three new clients that want two locks.
type mixture struct {
	program, addr, ns string
	ours, theirs      atomic.Int64 // grants
	sentAway          atomic.Int64 // calls of the old build that failed by the words in its counters

	mu    sync.Mutex
	holds []hold
}

// hold is a time in which somebody believed to hold a lock. All clocks are the test's own.
type hold struct {
	ours             bool
	key              string
	token            fencing.Token
	asked, got, left time.Time
}

func (h hold) String() string {
	who := "the old build"
	if h.ours {
		who = "ours"
	}
	return fmt.Sprintf("%s with token %v for %v", who, h.token, h.left.Sub(h.got))
}

func exclusion(t *testing.T, program string) {
	mix(t, program, servers.Shared(t, servers.Redis), nil)
}

func exclusionThroughFlush(t *testing.T, program string) {
	s := servers.Start(t, servers.Redis)
	mix(t, program, s, func() {
		if err := raw(t, s.Addr()).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

func exclusionThroughRestart(t *testing.T, program string) {
	s := servers.Start(t, servers.Redis)
	mix(t, program, s, func() {
		s.Kill(t)
		s.Restart(t)
	})
}

// mix has the old build lock alone, then beside ours, and then, perhaps, the server lose its data. While it
// keeps them, nobody holds beside another, and no old build is granted a lock once a new client is there.
// Afterwards the old build may be granted locks until a new client is, and again nobody beside another
// but for those who do not know yet that theirs is gone.
func mix(t *testing.T, program string, s *servers.Server, lose func()) {
	const phase, enough = 2 * time.Second, 10
	m := &mixture{program: program, addr: s.Addr(), ns: locktest.Namespace()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var working sync.WaitGroup
	var processes []*earlier
	for range 3 {
		e := startEarlier(t, program, m.addr, m.ns, oldTTL)
		processes = append(processes, e)
		working.Go(func() { m.lockAsEarlier(t, ctx, e) })
	}
	more := func(what string, n *atomic.Int64) {
		t.Helper()
		began, was := time.Now(), n.Load()
		locktest.Eventually(t, 6*locktest.Soon, what, func() bool { return time.Since(began) > phase && n.Load() >= was+enough })
	}
	more("the old build is granted locks", &m.theirs)
	var opened time.Time // a new client was there
	for range 3 {
		c := open(t, m.addr, m.ns, oldTTL)
		if opened.IsZero() {
			opened = time.Now()
		}
		working.Go(func() { m.lockAsOurs(t, ctx, c) })
	}
	more("ours is granted locks", &m.ours)
	var lost, back time.Time // the data
	if lose != nil {
		lost = time.Now()
		lose()
		back = time.Now()
		more("ours is granted locks again", &m.ours)
	}
	more("the old build is sent away", &m.sentAway)
	cancel()
	for _, e := range processes {
		e.Kill()
	}
	working.Wait()
	t.Logf("%d grants of the old build, %d of ours; the old build was sent away %d times", m.theirs.Load(), m.ours.Load(), m.sentAway.Load())
	if lose == nil {
		check(t, m.holds, opened)
		return
	}
	var before, after []hold // and not those meanwhile
	again := time.Now()      // a new client was granted a lock
	for _, h := range m.holds {
		switch {
		case h.got.Before(lost):
			before = append(before, h)
		case h.asked.After(back):
			after = append(after, h)
			if h.ours && h.got.Before(again) {
				again = h.got
			}
		}
	}
	check(t, before, opened)
	check(t, after, again)
	checkTokens(t, m.holds)
}

// check wants holds not to overlap, and those of the old build to have been asked for before ours were there.
func check(t *testing.T, holds []hold, ours time.Time) {
	t.Helper()
	checkTokens(t, holds)
	for i, x := range holds {
		if !x.ours && x.asked.After(ours) {
			t.Errorf("the old build was granted %s with token %v, for which it had asked %v after a new client was there", x.key, x.token, x.asked.Sub(ours))
		}
		for _, y := range holds[:i] {
			if x.key == y.key && x.got.Before(y.left) && y.got.Before(x.left) {
				t.Errorf("two hold %s: %v, and %v later %v", x.key, y, x.got.Sub(y.got), x)
			}
		}
	}
}

// checkTokens wants tokens to be in the order of what happened, whatever the server has lost.
func checkTokens(t *testing.T, holds []hold) {
	t.Helper()
	slices.SortFunc(holds, func(a, b hold) int { return cmp.Compare(a.token, b.token) })
	for i, x := range holds {
		for _, y := range holds[:i] {
			switch {
			case x.key != y.key:
			case x.token == y.token:
				t.Errorf("%s: token %v was granted twice", x.key, x.token)
			case y.asked.After(x.got):
				t.Errorf("%s: token %v was asked for when the greater %v was held", x.key, y.token, x.token)
			}
		}
	}
}

// holdFor is mostly short, and sometimes longer than a lease that nobody renews.
func holdFor() time.Duration {
	if rand.IntN(30) == 0 {
		return oldTTL + oldTTL/4
	}
	return time.Duration(rand.IntN(5)) * time.Millisecond
}

func aKey() string { return fmt.Sprint("key ", rand.IntN(2)) }

func (m *mixture) note(h hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holds = append(m.holds, h)
}

func (m *mixture) lockAsEarlier(t *testing.T, ctx context.Context, e *earlier) {
	for ctx.Err() == nil {
		h := hold{key: aKey(), asked: time.Now()}
		token, err := e.take([]string{"lock", "try"}[rand.IntN(2)], h.key)
		h.got, h.token = time.Now(), token
		var why *earlierError
		switch {
		case errors.Is(err, oldbuild.ErrKilled):
			return
		case errors.As(err, &why):
			if why.kind == kindOther {
				m.sentAway.Add(1)
			}
			time.Sleep(2 * time.Millisecond)
			continue
		case err != nil:
			t.Errorf("the old build: %v", err)
			return
		}
		m.theirs.Add(1)
		time.Sleep(holdFor())
		h.left = time.Now()
		if _, err := e.do("state " + h.key); err != nil {
			h.left = h.got // who knows when it was lost
		}
		m.note(h)
		_, _ = e.do("unlock " + h.key) // which cannot hand off, see oldWaiters
	}
}

func (m *mixture) lockAsOurs(t *testing.T, ctx context.Context, c *fencelock.Client) {
	for ctx.Err() == nil {
		h := hold{ours: true, key: aKey(), asked: time.Now()}
		take := c.Lock
		if rand.IntN(2) == 0 {
			take = c.TryLock
		}
		l, err := take(ctx, h.key)
		h.got = time.Now()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return
		case errors.Is(err, fencelock.ErrHeld), errors.Is(err, fencelock.ErrUnavailable):
			time.Sleep(2 * time.Millisecond)
			continue
		default:
			t.Errorf("ours: %v", err)
			return
		}
		h.token = l.Token()
		m.ours.Add(1)
		time.Sleep(holdFor())
		h.left = time.Now()
		if l.Err() != nil && l.ValidUntil().Before(h.left) {
			h.left = l.ValidUntil()
		}
		m.note(h)
		if err := l.Unlock(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, fencelock.ErrLost) && !errors.Is(err, fencelock.ErrUnknown) {
			t.Errorf("ours: Unlock: %v", err)
		}
	}
}
