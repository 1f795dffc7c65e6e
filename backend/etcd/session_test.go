package etcd

import (
	"testing"
	"time"
)

// A keep-alive begins with the session's mutex, and takes the backend's. Who takes the
// backend's first must not wait for the session's: that once was a deadlock.
func TestSessionIsFoundWithoutItsMutex(t *testing.T) {
	const ttl = 10 * time.Second
	f := serve(t)
	b, _, _ := f.lock(t, ttl)
	s, err := b.session(t.Context(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	found := make(chan error, 1)
	go func() {
		_, err := b.session(t.Context(), ttl)
		found <- err
	}()
	select {
	case err = <-found:
	case <-time.After(10 * time.Second):
		t.Error("it waits for the session's mutex, and has the backend's")
	}
	s.mu.Unlock()
	if err != nil {
		t.Error(err)
	}
}
