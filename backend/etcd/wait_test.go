package etcd

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/fencelock/fencelock/driver"
)

// waitingFor has a claim wait behind the holder's, and counts how often that is confirmed.
func (f *fake) waitingFor(t *testing.T, ttl time.Duration) (confirmed, asked *atomic.Int64) {
	t.Helper()
	b, err := f.open(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	confirmed, asked = new(atomic.Int64), new(atomic.Int64)
	waiting.Go(func() {
		for ctx.Err() == nil { // as the core does
			asked.Add(1)
			_, _ = b.Acquire(ctx, driver.Request{Key: "k", AttemptID: "owner", TTL: ttl, Wait: true, Waiting: func() { confirmed.Add(1) }})
		}
	})
	t.Cleanup(func() { cancel(); waiting.Wait() })
	return confirmed, asked
}

// TestWaitingIsConfirmed: who waits is told so at once, and then as long as a majority answers,
// also where the session lives for longer than the lease that is asked for. The answer of one member
// that has nothing new to tell does not count: it may be cut off from the others.
func TestWaitingIsConfirmed(t *testing.T) {
	f := serve(t)
	const ttl = 1100 * time.Millisecond // of a session of 2 s
	at := make(chan int64, 100)         // how often more than asked it was confirmed before that look
	ready := make(chan struct{})
	var confirmed, asked *atomic.Int64
	f.holder = 5
	f.look = func(sure bool) (int64, bool) {
		if !sure {
			return fakeClaim, true
		}
		<-ready
		at <- confirmed.Load() - asked.Load()
		return 10, true
	}
	began := time.Now()
	confirmed, asked = f.waitingFor(t, ttl)
	close(ready)
	eventually(t, "the first word", func() bool { return confirmed.Load() > 0 })
	const looks = 4
	for i := range looks {
		select {
		case n := <-at:
			if i == 0 && n > 0 {
				t.Errorf("before a majority has looked it was confirmed %d times more often than asked", n)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no look that a majority answers")
		}
	}
	if took := time.Since(began); took > looks*ttl/2+5*time.Second {
		t.Errorf("%d looks took %v, of a TTL of %v", looks, took, ttl)
	}
	eventually(t, "a word for each of them", func() bool { return confirmed.Load() > looks })
}

// TestWaitingIsNotConfirmedInAnOutage: refusals of a member that has lost the others do not say that
// the claim waits.
func TestWaitingIsNotConfirmedInAnOutage(t *testing.T) {
	f := serve(t)
	const ttl = time.Second
	var out atomic.Bool
	f.holder = 5
	f.look = func(bool) (int64, bool) { return 10, !out.Load() }
	confirmed, _ := f.waitingFor(t, ttl)
	eventually(t, "the first look that counts", func() bool { return confirmed.Load() > 2 })
	f.set(func() {
		out.Store(true)
		f.meet = func(_ context.Context, method string, _ any) error {
			if method == "Txn" { // which would have to be written
				return rpctypes.ErrGRPCNoLeader
			}
			return nil
		}
	})
	time.Sleep(ttl / 3) // what has been answered before is on its way
	before := confirmed.Load()
	time.Sleep(2 * ttl)
	if n := confirmed.Load(); n != before {
		t.Errorf("confirmed %d times in an outage", n-before)
	}
	f.set(func() { f.meet = nil })
	out.Store(false)
	eventually(t, "a word after the outage", func() bool { return confirmed.Load() > before })
}
