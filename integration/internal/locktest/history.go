package locktest

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// History is what holders of a few locks saw, on the one clock that all share in a test, while
// things went wrong. Each lock guards a counter that checks tokens.
type History struct {
	counters map[string]*counter // not changed after the start

	mu            sync.Mutex
	terms         []term
	lost, refused int
}

// term is a lease as its holder saw it.
type term struct {
	token      fencing.Token
	key        string
	asked, got time.Time // when Lock was called and returned
	until      time.Time // when the holder stopped trusting it
}

// NewHistory is of these locks.
func NewHistory(keys ...string) *History {
	h := &History{counters: make(map[string]*counter)}
	for _, k := range keys {
		h.counters[k] = &counter{key: k}
	}
	return h
}

// Turn locks a key, increments its counter, and unlocks. Now and then the holder is cut off, sleeps
// through its lease, and writes when another has been there.
func (h *History) Turn(ctx context.Context, t T, c *fencelock.Client, key string, rnd *rand.Rand, cutOff, heal func()) {
	asked := time.Now()
	l, err := c.Lock(ctx, key)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("Lock: %v", err)
		}
		return
	}
	now := term{token: l.Token(), key: key, asked: asked, got: time.Now()}
	store := h.counters[key]
	v, err := store.read(l.Token())
	if err == nil {
		if rnd.IntN(30) == 0 {
			cutOff()
			<-l.Done()
			Within(time.Second, func() bool { return store.gate.Highest(key) != l.Token() })
			heal()
		} else {
			time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
		}
		err = store.write(l.Token(), v+1)
	}
	refused := errors.Is(err, fencing.ErrStale)
	if err != nil && !refused {
		t.Errorf("the counter: %v", err)
	}
	now.until = time.Now()
	if l.Err() != nil && l.ValidUntil().Before(now.until) { // it ended before
		now.until = l.ValidUntil()
	}
	err = l.Unlock(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.terms = append(h.terms, now)
	if errors.Is(err, fencelock.ErrLost) {
		h.lost++
	}
	if refused {
		h.refused++
	}
}

// Counts tells how many grants there were, how many of them were lost, and how many late writes
// were refused.
func (h *History) Counts() (grants, lost, refused int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.terms), h.lost, h.refused
}

// Check reads the history, when all are silent: tokens are unique, and ordered like the grants in
// real time; no two leases of a key were valid at the same time; every increment is kept that the
// counter took.
func (h *History) Check(t T) {
	t.Helper()
	byKey := make(map[string][]term)
	for _, x := range h.terms {
		byKey[x.key] = append(byKey[x.key], x)
	}
	for key, terms := range byKey {
		slices.SortFunc(terms, func(a, b term) int { return cmp.Compare(a.token, b.token) })
		for i, x := range terms {
			for _, before := range terms[max(0, i-50):i] {
				switch {
				case x.token == before.token:
					t.Errorf("%s: token %v was granted twice", key, x.token)
				case before.asked.After(x.got):
					t.Errorf("%s: token %v was asked for %v after the greater %v was held", key, before.token, before.asked.Sub(x.got), x.token)
				case before.until.After(x.got):
					t.Errorf("%s: token %v was trusted for %v after %v was held", key, before.token, before.until.Sub(x.got), x.token)
				}
			}
		}
	}
	for key, c := range h.counters {
		if c.value != c.taken {
			t.Errorf("%s: %d increments were let through, and the value is %d", key, c.taken, c.value)
		}
	}
}

// counter is a resource that checks tokens. Its value is read and written in two steps, so that two
// holders at a time would lose an increment.
type counter struct {
	key   string
	gate  fencing.Gate // and its Do guards the rest
	value int
	taken int // increments that were let through
}

func (c *counter) read(t fencing.Token) (v int, err error) {
	err = c.gate.Do(c.key, t, func() error { v = c.value; return nil })
	return v, err
}

func (c *counter) write(t fencing.Token, v int) error {
	return c.gate.Do(c.key, t, func() error { c.value, c.taken = v, c.taken+1; return nil })
}
