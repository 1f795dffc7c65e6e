package zookeeper

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// TestWaitingIsTold: a waiter is told that the server has confirmed its position, at once and
// each half of a TTL, also where the session's TTL is far longer; and not in an outage.
func TestWaitingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 2 * time.Second // the session's is 30 s
		f := newFake()
		f.shortest = 31 * time.Second
		b := on(t, f)
		g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var told atomic.Int64
		ended := make(chan error, 1)
		go func() {
			_, err := b.Acquire(ctx, driver.Request{Key: "k", AttemptID: "w", TTL: ttl, Wait: true, Waiting: func() { told.Add(1) }})
			ended <- err
		}()
		synctest.Wait()
		if told.Load() == 0 {
			t.Error("not told at once")
		}
		for i := range 10 {
			before := told.Load()
			time.Sleep(ttl / 2)
			synctest.Wait()
			if told.Load() == before {
				t.Errorf("not told in half a TTL (%d)", i)
			}
		}
		f.mu.Lock()
		f.unanswered["multi"] = 1 << 30
		f.mu.Unlock()
		time.Sleep(ttl / 2) // what was confirmed before may be told yet
		before := told.Load()
		time.Sleep(5 * ttl)
		if n := told.Load() - before; n != 0 {
			t.Errorf("told %d times while the server did not answer", n)
		}
		f.mu.Lock()
		f.unanswered["multi"] = 0
		f.mu.Unlock()
		time.Sleep(ttl / 2)
		if told.Load() == before {
			t.Error("not told when the server answers again")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Acquire = %v, want its context's error", err)
		}
		if err := b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "w"}); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Release of the waiter = %v", err)
		}
		if err := b.Release(t.Context(), g); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoNeedNotWaitIsNotTold: a free lock and a TryLock that loses say nothing of waiting.
func TestWhoNeedNotWaitIsNotTold(t *testing.T) {
	f := newFake()
	b := on(t, f)
	req := request("a", true)
	req.Waiting = func() { t.Error("told") }
	g, err := b.Acquire(soon(t), req)
	if err != nil {
		t.Fatal(err)
	}
	req = request("b", false)
	req.Waiting = func() { t.Error("told") }
	if _, err := b.Acquire(soon(t), req); !errors.Is(err, driver.ErrHeld) {
		t.Errorf("Acquire = %v, want ErrHeld", err)
	}
	release(t, b, g)
}
