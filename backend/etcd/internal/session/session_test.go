package session

import (
	"testing"
	"time"
)

// A keep-alive begins with the session's mutex, and takes others. Who takes those
// first must not wait for the session's: that once was a deadlock.
func TestSessionIsFoundWithoutItsMutex(t *testing.T) {
	const ttl = 10 * time.Second
	f := serve(t)
	all := &Sessions{Config: f.config(t)}
	s, err := all.Get(t.Context(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	found := make(chan error, 1)
	go func() {
		_, err := all.Get(t.Context(), ttl)
		found <- err
	}()
	select {
	case err = <-found:
	case <-time.After(10 * time.Second):
		t.Error("it waits for the session's mutex, and has that of all")
	}
	s.mu.Unlock()
	if err != nil {
		t.Error(err)
	}
}
