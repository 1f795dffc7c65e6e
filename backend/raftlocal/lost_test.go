package raftlocal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/driver"
)

// A holder is told at once when the directory is removed from which its lock was granted, and why;
// who takes it next, in a new directory, has a higher token.
func TestDirectoryIsRemoved(t *testing.T) {
	t.Parallel()
	c := Options{Dir: filepath.Join(t.TempDir(), "locks")}
	serves, holds := use(t, c), use(t, c)
	told := make(chan error, 1)
	r := request("k", "first", false)
	r.TTL, r.Lost = time.Hour, func(why error) { told <- why }
	first := take(t, holds, r)
	removeServed(t, c.Dir)
	next := take(t, use(t, c), request("k", "second", true))
	if next.Token <= first.Token {
		t.Errorf("token %d after %d", next.Token, first.Token)
	}
	select {
	case why := <-told:
		if !strings.Contains(why.Error(), c.Dir) || !strings.Contains(why.Error(), "do not remove") {
			t.Errorf("told: %v", why)
		}
	case <-time.After(10 * time.Second):
		t.Error("the holder was not told")
	}
	for _, renewed := range holds.Renew(within(t, 10*time.Second), []driver.Grant{first}) {
		if !errors.Is(renewed.Err, driver.ErrNotHeld) {
			t.Errorf("renewed: %+v", renewed)
		}
	}
	take(t, serves, request("l", "third", true))
	take(t, holds, request("m", "fourth", true))
}

// removeServed removes a directory that is served. Whoever serves it may make a file in it while
// the others are removed.
func removeServed(t *testing.T, dir string) {
	t.Helper()
	var err error
	for range 100 {
		if err = os.RemoveAll(dir); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// A socket that is removed is there again, and nothing is lost.
func TestSocketIsRemoved(t *testing.T) {
	t.Parallel()
	c := Options{Dir: filepath.Join(t.TempDir(), "locks")}
	serves := use(t, c)
	held := take(t, serves, request("k", "first", false))
	for range 3 {
		if err := os.Remove(filepath.Join(c.Dir, "socket")); err != nil {
			t.Fatal(err)
		}
		other := use(t, c)
		if _, err := other.Acquire(t.Context(), request("k", "second", false)); !errors.Is(err, driver.ErrHeld) {
			t.Errorf("got %v, want ErrHeld", err)
		}
	}
	if err := serves.Release(t.Context(), held); err != nil {
		t.Error(err)
	}
}

// A process whose member has ended goes on as a client of the others. What does not succeed then says
// what is wrong with its own.
func TestOwnMemberEnds(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	takesOne(t, c.client(), "k", "o")
	for _, n := range c.members {
		n.kill()
	}
	type member struct {
		*backend
		server *server.Server
		dir    string
	}
	var all []member
	opened := make(chan member)
	for _, n := range c.members {
		go func() {
			b, s, err := openMember(within(t, 30*time.Second), n.Options)
			if err != nil {
				t.Errorf("opening %s: %v", n.ID, err)
			}
			opened <- member{b, s, n.Dir}
		}()
	}
	for range c.members {
		if b := <-opened; b.backend != nil {
			all = append(all, b)
			t.Cleanup(func() { _ = b.Close() })
		}
	}
	if t.Failed() {
		return
	}
	own := all[0]
	removeServed(t, own.dir)
	for began := time.Now(); own.server.Trouble() == nil; {
		if time.Since(began) > 10*time.Second {
			t.Fatal("its member goes on")
		}
		<-time.After(10 * time.Millisecond)
	}
	take(t, own, request("l", "p", true))
	for _, b := range all[1:] {
		_ = b.Close()
	}
	_, err := own.Acquire(within(t, time.Second), request("m", "p", true))
	if err == nil || !strings.Contains(err.Error(), "the member in this process: ") || !strings.Contains(err.Error(), "do not remove") {
		t.Errorf("got %v, want what is wrong with its own member", err)
	}
}
