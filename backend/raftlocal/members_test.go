package raftlocal

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestChangeMembers(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b", "c")
	b := c.client()
	last := takesOne(t, b, "k", "0")
	next := func(what string) {
		t.Helper()
		token := takesOne(t, b, "k", what)
		if token <= last {
			t.Errorf("%s: token %d after %d", what, token, last)
		}
		last = token
	}
	join := func(name string) (*node, Peer) {
		t.Helper()
		conf := c.base
		p := Peer{name, freeAddr(t)}
		conf.Peers = append(append([]Peer{}, c.base.Peers...), p)
		conf.ID, conf.Dir, conf.Join = name, filepath.Join(t.TempDir(), name), true
		return c.start(conf), p
	}
	ctx := within(t, 30*time.Second)
	_, d := join("d")
	if err := c.admin().AddMember(ctx, d); err != nil {
		t.Fatal(err)
	}
	c.caughtUp(4)
	next("after adding d")
	// c has lost its disk. It led, so that there is nobody to ask at first.
	if err := c.admin().TransferLeadership(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	c.members["c"].kill()
	e, ePeer := join("e")
	if err := c.admin().ReplaceMember(ctx, "c", ePeer); err != nil {
		t.Fatal(err)
	}
	next("after replacing c by e")
	// d leads when it is removed.
	if err := c.admin().TransferLeadership(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	if err := c.admin().RemoveMember(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	s := c.caughtUp(3)
	next("after removing d")
	if err := c.admin().TransferLeadership(ctx, "e"); err != nil {
		t.Fatal(err)
	}
	if l := c.leader(); l != e {
		t.Errorf("%s leads, want e", l.ID)
	}
	next("led by e")
	select {
	case <-c.members["d"].server.Done():
		if err := c.members["d"].server.Err(); err == nil || !strings.Contains(err.Error(), "removed from the cluster") {
			t.Errorf("d has ended with %v", err)
		}
	case <-ctx.Done():
		t.Errorf("d goes on: %+v", s)
	}
	for what, err := range map[string]error{
		"there is no member": c.admin().RemoveMember(ctx, "x"),
		"host:port":          c.admin().AddMember(ctx, Peer{"f", "nonsense"}),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
}
