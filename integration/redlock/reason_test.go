package redlock_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis/redlock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// expectNoQuorum wants an error that a program can branch on, with an entry for each node, and that
// names those which are missing. Asking again may help.
func expectNoQuorum(t *testing.T, l *fencelock.Lease, err error, missing ...string) {
	t.Helper()
	if !errors.Is(err, fencelock.ErrUnavailable) {
		t.Errorf("%v, %v; want ErrUnavailable", l, err)
	}
	expectMissing(t, err, missing...)
}

// expectMissing is that whether or not asking again may help.
func expectMissing(t *testing.T, err error, missing ...string) {
	t.Helper()
	var no *redlock.NoQuorumError
	if err == nil || !errors.As(err, &no) || errors.Is(err, fencelock.ErrHeld) {
		t.Fatalf("%v; want a NoQuorumError", err)
	}
	faults := map[string]error{}
	for _, n := range no.Nodes {
		faults[n.Node] = n.Err
	}
	for _, addr := range missing {
		if faults[addr] == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%v; want the reason of %s", err, addr)
		}
	}
	if len(no.Nodes) < no.Needed {
		t.Errorf("%d nodes, and %d are needed: %v", len(no.Nodes), no.Needed, err)
	}
}

// TestHeldTellsWho: who holds the lock, and for how long, where a majority says so.
func TestHeldTellsWho(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	holder, other := w.proxied(t, longTTL), w.proxied(t, longTTL)
	held := locktest.Lock(t, holder, "k")
	expect := func() {
		t.Helper()
		l, err := other.TryLock(t.Context(), "k")
		var by *fencelock.HeldError
		if !errors.Is(err, fencelock.ErrHeld) || !errors.As(err, &by) {
			t.Fatalf("TryLock = %v, %v; want a HeldError", l, err)
		}
		if by.Identity != "a party" || by.Left <= longTTL/2 || by.Left > longTTL+2*time.Second || !strings.Contains(err.Error(), "a party") {
			t.Errorf("TryLock = %v; want who, and for how long", err)
		}
		t.Log(err)
	}
	expect()
	other.links[0].Blackhole()
	expect()
	other.links[0].Heal()
	locktest.Unlock(t, held)
}

// TestFaultIsNoHolder: of three nodes one is held, and two cannot be asked: that is no quorum, with a
// word for each. The vote of a node that cannot be asked is not taken for "held".
func TestFaultIsNoHolder(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	holder, other := w.proxied(t, longTTL), w.proxied(t, longTTL)
	held := locktest.Lock(t, holder, "k")
	for _, p := range other.links[1:] {
		p.Refuse()
		p.Reset()
	}
	l, err := other.TryLock(t.Context(), "k")
	expectNoQuorum(t, l, err, other.links[1].Addr(), other.links[2].Addr())
	if !contains(err.Error(), other.links.addrs()...) { // with or without the answer of the first
		t.Errorf("%v; want a word for each node", err)
	}
	t.Log(err)
	other.links.each((*proxy.Proxy).Heal)
	locktest.ExpectHeldByAnother(t, other.Client, "k")
	locktest.Unlock(t, held)
}

// TestSplitVoteIsNoHolder: two nodes are held, by two who have died before they had a majority, and
// the third is free. Nobody holds the lock, and TryLock gets it within the TTL of the dead.
func TestSplitVoteIsNoHolder(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	c := w.proxied(t, shortTTL)
	locktest.Unlock(t, locktest.Lock(t, c, "k"))
	for i, a := range w.admins[:2] {
		record := []string{"dead1 1 - 0 1000 nobody", "dead2 1 - 0 1000 nobody"}[i]
		if err := a.Set(t.Context(), w.name("l:k"), record, time.Second).Err(); err != nil {
			t.Fatal(err)
		}
	}
	l := locktest.Lock(t, c, "k")
	locktest.Unlock(t, l)
}

// TestOutageIsToldOnce: the log has a line when a node cannot be reached, by an idle client too,
// and one when it can again; with its address.
func TestOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	w := ownEnv(t, 3)
	locktest.ExpectOutageTold(t, w.url(w.addrs()...), "", func() { w.masters[1].Kill(t) }, func() { w.masters[1].Restart(t) })
}
