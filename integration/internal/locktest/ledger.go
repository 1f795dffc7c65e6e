package locktest

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

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

// Enter notes a lease right after Lock has returned it. It may be called from any
// goroutine.
func (b *Ledger) Enter(t T, l *fencelock.Lease) {
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
		b.Enter(t, l)
		Unlock(t, l)
	}
}
