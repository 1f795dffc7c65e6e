package locktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
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
	h.Hold(ctx, t, c, key, func(l *fencelock.Lease) {
		if rnd.IntN(30) == 0 {
			cutOff()
			h.SleepThrough(l)
			heal()
		} else {
			time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
		}
	})
}

// SleepThrough returns when a lease has ended, and another has had the lock, unless nobody wants it.
func (h *History) SleepThrough(l *fencelock.Lease) {
	<-l.Done()
	Within(time.Second, func() bool { return h.counters[l.Key()].gate.Highest(l.Key()) != l.Token() })
}

// Hold locks a key, reads its counter, does something, writes the counter, and unlocks.
func (h *History) Hold(ctx context.Context, t T, c *fencelock.Client, key string, do func(l *fencelock.Lease)) {
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
		do(l)
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
	for _, o := range h.CheckLossy(t) {
		t.Errorf("%v", o)
	}
}

// Overlap is that a lease was granted while a holder trusted its own.
type Overlap struct {
	Key           string
	Before, After fencing.Token
	Since         time.Time // when the first had the lease
	At            time.Time // when the second had it
	For           time.Duration
}

func (o Overlap) String() string {
	return fmt.Sprintf("%s: token %v was trusted for %v after %v was held", o.Key, o.Before, o.For, o.After)
}

// CheckLossy is Check for a server that may forget grants. It returns the overlaps.
func (h *History) CheckLossy(t T) (overlaps []Overlap) {
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
					overlaps = append(overlaps, Overlap{key, before.token, x.token, before.got, x.got, before.until.Sub(x.got)})
				}
			}
		}
	}
	for key, c := range h.counters {
		if c.value != c.taken {
			t.Errorf("%s: %d increments were let through, and the value is %d", key, c.taken, c.value)
		}
	}
	return overlaps
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

// Ledger notes who believes to hold each lock. It wants the tokens to rise strictly,
// in the order of the calls, and nobody to come in while the one before believes to
// hold: all clients of a test read one clock.
type Ledger struct {
	// TokensOnly is for what makes a server forget who holds: tokens go on to rise, and
	// the holder is not told in time.
	TokensOnly bool

	// Store stands for one that checks tokens.
	Store fencing.Gate

	mu   sync.Mutex
	last map[string]*fencelock.Lease
}

// Record notes a lease right after Lock has returned it. It may be called from any
// goroutine.
func (b *Ledger) Record(t T, l *fencelock.Lease) {
	t.Helper()
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.last = make(map[string]*fencelock.Lease)
	}
	if before := b.last[l.Key()]; before != nil {
		if l.Token() <= before.Token() {
			t.Errorf("the token of %q is %v, and was %v before", l.Key(), l.Token(), before.Token())
		}
		if left := before.ValidUntil().Sub(now); left > 0 && before.Err() == nil && !b.TokensOnly {
			t.Errorf("%q is granted with token %v, and the holder of %v is sure of it for another %v", l.Key(), l.Token(), before.Token(), left)
		}
	}
	b.last[l.Key()] = l
	if err := b.Store.Admit(l.Key(), l.Token()); err != nil {
		t.Errorf("the store refuses its holder: %v", err)
	}
}

// TakeTurns has each client take a lock, within some time, and free it.
func (b *Ledger) TakeTurns(t T, within time.Duration, key string, clients ...*fencelock.Client) {
	t.Helper()
	for _, c := range clients {
		l := ExpectLock(t, StartLock(t.Context(), c, key), within)
		b.Record(t, l)
		Unlock(t, l)
	}
}

// Churn has many callers of a client lock and unlock.
type Churn struct {
	Client    *fencelock.Client
	Rival     *fencelock.Client // has half of the callers, where they contend
	Workers   int
	Contended int // keys that both clients want

	book Ledger
}

// Run has them do so a number of times, and returns when all is unlocked. Now and then
// they contend with the rival, or give up.
func (c *Churn) Run(t *testing.T, times int) (took time.Duration) {
	t.Helper()
	began := time.Now()
	var working sync.WaitGroup
	for w := range c.Workers {
		working.Go(func() { c.work(t, w, times/c.Workers) })
	}
	working.Wait()
	return time.Since(began)
}

func (c *Churn) work(t *testing.T, w, times int) {
	const keys = 300
	for i := range times {
		key, l := fmt.Sprint((i*7+w*13)%keys), c.Client
		switch {
		case i%50 == 0:
			key, l = fmt.Sprint("contended ", w%c.Contended), []*fencelock.Client{c.Client, c.Rival}[w/c.Contended%2]
		case i%97 == 0:
			giveUp(t, c.Client, fmt.Sprint("given up ", w))
			continue
		}
		lease, err := l.Lock(t.Context(), key)
		if err == nil {
			c.book.Record(t, lease)
			err = lease.Unlock(t.Context())
		}
		if err != nil {
			t.Errorf("worker %d: %v", w, err)
			return
		}
	}
}

// giveUp begins to lock, and cancels.
func giveUp(t *testing.T, c *fencelock.Client, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Microsecond)
	defer cancel()
	lease, err := c.Lock(ctx, key)
	if err == nil { // it was quicker
		err = lease.Unlock(t.Context())
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock: %v", err)
	}
}
