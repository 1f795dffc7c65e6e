package zookeeper_test

import (
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// ledger notes who believes to hold each lock. It wants the tokens to rise strictly,
// in the order of the calls, and nobody to come in while the one before believes to
// hold: all clients of a test read one clock. It stands for a store that checks
// tokens, too.
type ledger struct {
	mu    sync.Mutex
	store fencing.Gate
	last  map[string]*fencelock.Lease
}

// enter notes a lease right after Lock has returned it. It may be called from any
// goroutine.
func (b *ledger) enter(t *testing.T, l *fencelock.Lease) {
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
		if left := before.ValidUntil().Sub(now); left > 0 && before.Err() == nil {
			t.Errorf("%q is granted with token %v, and the holder of %v is sure of it for another %v", l.Key(), l.Token(), before.Token(), left)
		}
	}
	b.last[l.Key()] = l
	if err := b.store.Admit(l.Key(), l.Token()); err != nil {
		t.Errorf("the store refuses its holder: %v", err)
	}
}
