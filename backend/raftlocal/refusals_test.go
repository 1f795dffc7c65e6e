package raftlocal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// refusal opens a member, or whatever c says, and returns what is said against it.
func refusal(t *testing.T, c Options, limit time.Duration) string {
	t.Helper()
	b, err := New(within(t, limit), &c)
	if err == nil {
		_ = b.Close()
		t.Error("it is not refused")
		return ""
	}
	if !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, driver.ErrRefused) && !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("it has no kind: %v", err)
	}
	return err.Error()
}

func wantWords(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %q, want %q in it", what, text, w)
		}
	}
}

// What a member can see by itself is refused at once.
func TestMemberIsRefused(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b", "c")
	of := func(change func(*Options)) string {
		conf := c.base
		conf.ID, conf.Dir = "a", filepath.Join(t.TempDir(), "dir")
		conf.Listen = freeAddr(t)
		change(&conf)
		return refusal(t, conf, 20*time.Second)
	}
	used := c.members["a"].Dir
	wantWords(t, "an even number", of(func(c *Options) { c.Peers = c.Peers[:2] }), "2 members", "begin with 1 or 3")
	wantWords(t, "an address in use", of(func(c *Options) { c.Listen = c.Peers[0].Addr }), "in use", "another port")
	wantWords(t, "a directory in use", of(func(c *Options) { c.Dir = used }), "in use by process", `member "a"`)
	wantWords(t, "a member's directory, shared", refusal(t, Options{Dir: used}, 20*time.Second), `cluster "test"`, "be a client of that cluster")
	for _, n := range c.members {
		n.kill()
	}
	wantWords(t, "another member's directory", of(func(c *Options) { c.Dir = used; c.ID = "b" }), `of the member "a"`, "a directory of its own")
	wantWords(t, "another cluster's directory", of(func(c *Options) { c.Dir = used; c.Cluster = "other" }), `of the cluster "test"`, "name the directory")
	wantWords(t, "a member's directory, shared", refusal(t, Options{Dir: used}, 20*time.Second), `of the cluster "test"`, "name the directory")
}

// Members that do not come say so when ctx ends.
func TestPeersAreNotThere(t *testing.T) {
	t.Parallel()
	peers := peersNamed(t, "a", "b", "c")
	conf := Options{Dir: filepath.Join(t.TempDir(), "a"), ID: "a", Peers: peers, Cluster: "test", Insecure: true}
	wantWords(t, "alone", refusal(t, conf, 10*time.Second), "b at "+peers[1].Addr, "c at "+peers[2].Addr, "refused")
	wantWords(t, "a client", refusal(t, Options{Hosts: []string{peers[0].Addr}, Insecure: true}, 10*time.Second), peers[0].Addr)
}

// A second process with a copy of a member's directory is refused by the others, and gives up.
func TestTwoOfOneID(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	last := takesOne(t, c.client(), "k", "o")
	conf := c.base
	conf.ID, conf.Dir, conf.Listen = "a", filepath.Join(t.TempDir(), "copy"), freeAddr(t)
	if err := os.CopyFS(conf.Dir, os.DirFS(c.members["a"].Dir)); err != nil {
		t.Fatal(err)
	}
	wantWords(t, "a second a", refusal(t, conf, 30*time.Second), "no majority", `the member "a" is connected from`, "two run with one id", "end one of them")
	if token := takesOne(t, c.client(), "k", "o2"); token <= last {
		t.Errorf("token %d after %d", token, last)
	}
	// When the first has ended the id is free.
	c.stop(c.members["a"])
	c.start(c.members["a"].Options)
	c.caughtUp(3)
}

// Members of one cluster must have begun with the same peers.
func TestPeersDiffer(t *testing.T) {
	t.Parallel()
	peers := peersNamed(t, "a", "b", "c", "d")
	one := Options{Peers: peers[:3], Cluster: "test", Insecure: true}
	c := &cluster{t: t, base: one, members: map[string]*node{}}
	for _, name := range []string{"b", "c"} {
		conf := one
		conf.ID, conf.Dir = name, filepath.Join(t.TempDir(), name)
		c.start(conf)
	}
	other := one
	other.Peers = []Peer{peers[0], peers[1], peers[3]}
	other.ID, other.Dir = "a", filepath.Join(t.TempDir(), "a")
	wantWords(t, "a", refusal(t, other, 15*time.Second), "b at", `the members "a" and "b" were started for the first time with different peers=`, "d at")
}

// A cluster of another name, and a member in another's place, say who they are.
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	takesOne(t, c.client(), "k", "o")
	client := *c.clientOf()
	client.Cluster = "other"
	wantWords(t, "a client", refusal(t, client, 20*time.Second), `is of the cluster "test", and not of "other"`, "correct the name")
	stranger := c.base
	stranger.Cluster = "other"
	stranger.Peers = []Peer{{"x", freeAddr(t)}, c.base.Peers[0], c.base.Peers[1]}
	stranger.ID, stranger.Dir = "x", filepath.Join(t.TempDir(), "x")
	wantWords(t, "a member", refusal(t, stranger, 15*time.Second), `is of the cluster "test", and not of "other"`)
	stranger.Cluster, stranger.Dir = "test", filepath.Join(t.TempDir(), "y")
	stranger.Peers = []Peer{{"x", freeAddr(t)}, {"a", c.base.Peers[1].Addr}, {"b", c.base.Peers[0].Addr}}
	wantWords(t, "addresses mixed up", refusal(t, stranger, 15*time.Second), "not the one that you look for")
}
