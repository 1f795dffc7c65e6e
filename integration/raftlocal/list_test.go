package raftlocal_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// request asks for a lock in a way that a list can show.
func request(key, attempt string) driver.Request {
	return driver.Request{Key: key, AttemptID: attempt, Identity: "tester", Meta: "of " + key, TTL: time.Minute}
}

// TestListHeld: a client lists what others hold, also after the leader has died between two pages.
func TestListHeld(t *testing.T) {
	t.Parallel()
	c, ns := servers.StartCluster(t, servers.Raft, 3), locktest.Namespace()
	b, other := dial(t, member(c.Addrs(), ns)), dial(t, member(c.Addrs(), ns+"x"))
	if _, err := other.Acquire(t.Context(), request("a/1", "alien")); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := b.Acquire(t.Context(), request(fmt.Sprintf("a/%d", i), "one")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Acquire(t.Context(), request("b", "one")); err != nil {
		t.Fatal(err)
	}
	if all := locktest.ListHeld(t, b, "", 7); len(all) != 21 {
		t.Errorf("%d are listed, want 21", len(all))
	}
	l := locktest.ListHeld(t, b, "a/1", 3)["a/13"]
	if len(l.Holders) != 1 || l.Holders[0].AttemptID != "one" || l.Holders[0].Identity != "tester" || l.Holders[0].Meta != "of a/13" ||
		l.Holders[0].Token == 0 || l.Holders[0].Left <= 0 || l.Holders[0].Left > time.Minute {
		t.Errorf("a/13 is listed as %+v", l)
	}
	first, err := b.ListHeld(t.Context(), "a/", "", 5)
	if err != nil {
		t.Fatal(err)
	}
	failOver(t, c)
	rest := len(first.Locks)
	for cursor := first.Next; cursor != ""; {
		p, err := b.ListHeld(t.Context(), "a/", cursor, 5)
		if err != nil {
			t.Fatal(err)
		}
		rest += len(p.Locks)
		cursor = p.Next
	}
	if rest != 20 {
		t.Errorf("with another leader from the second page on %d are listed, want 20", rest)
	}
	if _, err := b.ListHeld(t.Context(), "", "nonsense", 5); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("a cursor of no page: %v", err)
	}
	var held *driver.HeldError
	if _, err := b.Acquire(t.Context(), request("b", "two")); !errors.As(err, &held) || held.Identity != "tester" || held.Left <= 0 || held.Left > time.Minute {
		t.Errorf("TryLock of what is held: %v", err)
	}
}

// TestEvictOneAttempt: an eviction that names an attempt ends its grant, tells it, and spares the next holder.
func TestEvictOneAttempt(t *testing.T) {
	t.Parallel()
	c, ns := servers.StartCluster(t, servers.Raft, 3), locktest.Namespace()
	b, operator := dial(t, member(c.Addrs(), ns)), dial(t, member(c.Addrs(), ns))
	told := make(chan error, 1)
	r := request("k", "first")
	r.Lost = func(why error) { told <- why }
	first, err := b.Acquire(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan error, 1)
	var second atomic.Pointer[driver.Grant]
	go func() {
		r := request("k", "second")
		r.Wait = true
		g, err := b.Acquire(t.Context(), r)
		second.Store(&g)
		next <- err
	}()
	locktest.Eventually(t, locktest.Soon, "the second waits", func() bool {
		s, err := operator.Inspect(t.Context(), "k")
		return err == nil && s.Waiters == 1
	})
	if err := operator.Evict(t.Context(), "k", "second"); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("evicting one that waits: %v, want ErrNotHeld", err)
	}
	if err := operator.Evict(t.Context(), "k", "first"); err != nil {
		t.Fatal(err)
	}
	select {
	case why := <-told:
		if !errors.Is(why, driver.ErrEvicted) {
			t.Errorf("the holder is told %v, want ErrEvicted", why)
		}
	case <-time.After(locktest.Soon):
		t.Error("the holder is not told")
	}
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	if err := operator.Evict(t.Context(), "k", "first"); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("evicting the first again: %v, want ErrNotHeld", err)
	}
	renewals := b.Renew(t.Context(), []driver.Grant{first, *second.Load()})
	if !errors.Is(renewals[0].Err, driver.ErrNotHeld) || renewals[1].Err != nil {
		t.Errorf("renewals: %v and %v, want ErrNotHeld and nil", renewals[0].Err, renewals[1].Err)
	}
}

// TestListHeldOfOldMembers: members of a build from before ListHeld say that they do not know it, and
// the client's session goes on. When they are upgraded one by one, the same client may list as soon as a new one leads,
// and what it evicts old and new members carry out alike.
func TestListHeldOfOldMembers(t *testing.T) {
	t.Parallel()
	m := newMixed(t)
	for _, name := range mixedNames {
		m.start(name, true)
	}
	ns := locktest.Namespace()
	config := member(m.hosts(), ns)
	m.whole(config)
	b := dial(t, config)
	told := make(chan error, 1)
	r := request("k", "one")
	r.Lost = func(why error) { told <- why }
	g, err := b.Acquire(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	keep := func() {
		t.Helper()
		if err := b.Renew(t.Context(), []driver.Grant{g})[0].Err; err != nil {
			t.Fatalf("the grant: %v", err)
		}
	}
	expectTooOld := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("%s of an old leader: %v, want ErrUnsupported", what, err)
			return
		}
		expectWords(t, what, err.Error(), "upgrade all members")
	}
	_, err = b.ListHeld(t.Context(), "", "", 10)
	expectTooOld("ListHeld", err)
	expectTooOld("Evict of one attempt", b.Evict(t.Context(), "k", "one"))
	if _, err := b.Acquire(t.Context(), request("k", "two")); !errors.Is(err, driver.ErrHeld) {
		t.Errorf("TryLock of what is held: %v", err)
	}
	keep()
	select {
	case why := <-told:
		t.Errorf("the holder is told %v", why)
	default:
	}

	// One new member, which leads.
	m.end("a", syscall.SIGTERM)
	m.start("a", false)
	m.whole(config)
	admin, err := raftlocal.NewAdmin(config)
	if err != nil {
		t.Fatal(err)
	}
	lead := func(name string) {
		t.Helper()
		locktest.Eventually(t, locktest.Electing, name+" leads", func() bool {
			if err := admin.TransferLeadership(t.Context(), name); err != nil {
				t.Logf("%s does not take over yet: %v", name, err)
			}
			s, err := admin.Status(t.Context())
			return err == nil && s.Leader == name
		})
	}
	lead("a")
	locktest.Eventually(t, locktest.Electing, "a list", func() bool {
		p, err := b.ListHeld(t.Context(), "", "", 10)
		return err == nil && len(p.Locks) == 1 && p.Locks[0].Key == "k"
	})
	keep()
	if err := b.Evict(t.Context(), "k", "two"); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("evicting who does not hold: %v", err)
	}
	if err := b.Evict(t.Context(), "k", "one"); err != nil {
		t.Errorf("evicting the holder: %v", err)
	}
	select {
	case why := <-told:
		if !errors.Is(why, driver.ErrEvicted) {
			t.Errorf("the holder is told %v", why)
		}
	case <-time.After(locktest.Soon):
		t.Error("the holder is not told")
	}
	// The old ones have carried it out, too: one of them leads, and gives the lock to another.
	lead("b")
	s, err := b.Inspect(t.Context(), "k")
	if err != nil || s.Held() {
		t.Errorf("an old leader says %+v, %v", s, err)
	}
	if _, err := b.Acquire(t.Context(), request("k", "two")); err != nil {
		t.Errorf("the lock is not free: %v", err)
	}
}
