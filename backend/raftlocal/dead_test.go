package raftlocal

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// A process dies that holds a lock and waits for it as well, several times. Who waits behind it, and
// lives, has the lock within a TTL, and not after one for each of them.
func TestDeadBehindADeadHolder(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	const ttl = 6 * time.Second
	dies, lives := c.client(), c.client()
	if _, err := dies.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: ttl}); err != nil {
		t.Fatal(err)
	}
	waiters := make(chan error)
	const dead = 3
	for i := range dead {
		// Each has renewed later than the holder, and so outlives it.
		time.Sleep(ttl / 12)
		queued := make(chan struct{}, 100)
		go func() {
			_, err := dies.Acquire(t.Context(), driver.Request{
				Key: "k", AttemptID: fmt.Sprint("waiter", i), TTL: ttl, Wait: true, Waiting: func() { queued <- struct{}{} },
			})
			waiters <- err
		}()
		<-queued
	}
	_ = dies.Close() // it says nothing to the cluster
	died := time.Now()
	for range dead {
		if err := <-waiters; err == nil {
			t.Error("a waiter has the lock of one who holds it")
		}
	}
	next, err := lives.Acquire(within(t, 4*ttl), driver.Request{Key: "k", AttemptID: "next", TTL: ttl, Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(died); took > ttl+time.Second {
		t.Errorf("granted %v after the others had died, with a TTL of %v", took, ttl)
	}
	if err := lives.Release(t.Context(), next); err != nil {
		t.Error(err)
	}
}
