package raftlocal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// heard is a log that keeps its lines.
type heard struct {
	mu    sync.Mutex
	lines []string // LEVEL message key=value …
}

func (h *heard) logger() *slog.Logger { return slog.New(&handler{h: h}) }

// handler is the heard of one logger.
type handler struct {
	h     *heard
	attrs []slog.Attr
}

func (*handler) Enabled(context.Context, slog.Level) bool { return true }
func (l *handler) WithGroup(string) slog.Handler          { return l }
func (l *handler) WithAttrs(a []slog.Attr) slog.Handler {
	return &handler{l.h, append(slices.Clone(l.attrs), a...)}
}

func (l *handler) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	l.h.lines = append(l.h.lines, line)
	return nil
}

// with are the lines that have all words.
func (h *heard) with(words ...string) (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range h.lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	return found
}

// wait waits for a line with all words.
func (h *heard) wait(t *testing.T, words ...string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); len(h.with(words...)) == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			h.mu.Lock()
			defer h.mu.Unlock()
			t.Fatalf("no line with %q in:\n%s", words, strings.Join(h.lines, "\n"))
		}
	}
}

// only wants a line with all words, and no other until the test ends.
func (h *heard) only(t *testing.T, words ...string) {
	t.Helper()
	h.wait(t, words...)
	t.Cleanup(func() {
		if found := h.with(words...); len(found) > 1 {
			t.Errorf("it is told %d times:\n%s", len(found), strings.Join(found, "\n"))
		}
	})
}

// TestLog: what the life of a cluster leaves in the log, of each kind once.
func TestLog(t *testing.T) {
	t.Parallel()
	peers := peersNamed(t, "a", "b", "c")
	base := Options{Peers: peers, Cluster: "test", Insecure: true}
	c := &cluster{t: t, base: base, members: map[string]*node{}}
	logs := map[string]*heard{}
	start := func(name string, change func(*Options)) *node {
		conf := base
		logs[name] = &heard{}
		conf.ID, conf.Dir, conf.Logger = name, filepath.Join(t.TempDir(), name), logs[name].logger()
		if change != nil {
			change(&conf)
		}
		return c.start(conf)
	}
	start("a", nil)
	logs["a"].wait(t, "INFO the cluster has not begun", "waits_for=b="+peers[1].Addr+",c="+peers[2].Addr)
	logs["a"].wait(t, "WARN the member is in no cluster yet", "peer=b", "nobody listens there")
	start("b", nil)
	start("c", nil)
	for _, name := range []string{"a", "b", "c"} {
		logs[name].only(t, "INFO the cluster has begun")
		logs[name].wait(t, "INFO this member is in its cluster", "members=a="+peers[0].Addr)
	}
	outside := &heard{}
	conf := *c.clientOf()
	conf.Logger = outside.logger()
	b, err := New(within(t, 20*time.Second), &conf)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	leader := c.leader()
	var others []string
	for _, name := range []string{"a", "b", "c"} {
		if name != leader.ID {
			others = append(others, name)
			logs[name].wait(t, "INFO", "leader="+leader.ID)
		}
	}
	logs[leader.ID].wait(t, "INFO this member leads")
	outside.wait(t, "INFO connected to the leader", "member="+leader.ID)

	// A follower is lost and comes back.
	before := len(logs[leader.ID].with("a member is reached again", "peer="+others[0]))
	led := len(logs[others[0]].with("INFO", "leader="+leader.ID))
	c.members[others[0]].kill()
	logs[leader.ID].wait(t, "WARN a member is not reached", "peer="+others[0], "nobody listens there")
	lost := c.members[others[0]].Options
	lost.Logger = logs[others[0]].logger()
	c.start(lost)
	for end := time.Now().Add(20 * time.Second); len(logs[leader.ID].with("INFO a member is reached again", "peer="+others[0])) == before; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not told that a member is reached again")
		}
	}
	for end := time.Now().Add(20 * time.Second); len(logs[others[0]].with("INFO", "leader="+leader.ID)) == led; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("who is back is not told who leads")
		}
	}

	// The leader is lost, and no majority is left.
	leader.kill()
	var last string
	for last == "" {
		for _, name := range others {
			if len(logs[name].with("INFO", "this member leads", "before="+leader.ID)) > 0 {
				last = name
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	follower := others[0]
	if follower == last {
		follower = others[1]
	}
	logs[follower].wait(t, "INFO the leader has changed", "leader="+last, "before="+leader.ID)
	takesOne(t, b, "k", "o")
	c.members[last].kill()
	logs[follower].only(t, "WARN there is no leader", "not reached: ", last+" at ", "nobody listens there")
	k, err := b.(*backend).client.Start(command.Command{Op: command.Nop}, nil)
	if err != nil {
		t.Fatal(err)
	}
	outside.wait(t, "WARN the cluster is not reachable", "no member leads", "says: no leader is known")
	<-time.After(2 * time.Second) // it is asked several times in that
	told := outside.with("the cluster is not reachable")
	if n := len(told); n != len(slices.Compact(slices.Sorted(slices.Values(told)))) {
		t.Errorf("the same is told again:\n%s", strings.Join(told, "\n"))
	}
	again := c.members[last].Options
	c.start(again)
	outside.wait(t, "INFO the cluster is reachable again")
	if o := b.(*backend).client.Wait(within(t, 20*time.Second), k); o.Err != nil {
		t.Error(o.Err)
	}

	// A member joins, and one is removed.
	lost = leader.Options
	c.start(lost)
	joining := start("d", func(c *Options) {
		c.Join = true
		c.Peers = append(slices.Clone(peers), Peer{"d", freeAddr(t)})
	})
	logs["d"].only(t, "INFO this member waits to be added")
	if err := c.admin().AddMember(within(t, 30*time.Second), Peer{"d", joining.addr()}); err != nil {
		t.Fatal(err)
	}
	logs[follower].only(t, "INFO a member is added", "peer=d", "addr="+joining.addr())
	logs["d"].only(t, "INFO this member is in its cluster")
	if err := c.admin().RemoveMember(within(t, 30*time.Second), "d"); err != nil {
		t.Fatal(err)
	}
	logs[follower].only(t, "INFO a member is removed", "peer=d")
	logs["d"].only(t, "ERROR member has ended", "removed from the cluster")
}

// TestLogOfARejectedCertificate: both sides tell it, with whose and why, and once.
func TestLogOfARejectedCertificate(t *testing.T) {
	t.Parallel()
	_, ours := authorityOf(t, "ours")
	peers := peersNamed(t, "a", "b", "c")
	logs := map[string]*heard{"a": {}, "b": {}}
	c := &cluster{t: t, members: map[string]*node{}}
	expired := ours(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	for name, conf := range map[string]Options{"a": {TLS: ours(nil)}, "b": {TLS: expired}} {
		conf.TLS.ServerName = "localhost"
		conf.ID, conf.Dir, conf.Peers, conf.Cluster, conf.Logger = name, filepath.Join(t.TempDir(), name), peers, "test", logs[name].logger()
		c.start(conf)
	}
	// a dials b, whose certificate it refuses, and b dials a, who refuses it.
	logs["a"].wait(t, "WARN the member is in no cluster yet", "peer=b", "CN=member, for localhost", "has expired")
	logs["a"].wait(t, "WARN a connection is refused", "CN=member, for localhost", "has expired")
	logs["b"].wait(t, "WARN the member is in no cluster yet", "peer=a", "does not take our certificate (CN=member, for localhost")
	logs["b"].wait(t, "WARN a connection is refused", "does not take our certificate (CN=member, for localhost")
	<-time.After(2 * time.Second) // they try several times in that
	for name, h := range logs {
		for _, words := range [][]string{{"a connection is refused"}, {"no cluster yet", "certificate"}} {
			if found := h.with(words...); len(found) != 1 {
				t.Errorf("%s tells it %d times:\n%s", name, len(found), strings.Join(found, "\n"))
			}
		}
	}

	client := &heard{}
	conf := Options{Hosts: []string{peers[0].Addr}, TLS: expired, Logger: client.logger()}
	if b, err := New(t.Context(), &conf); err == nil {
		_ = b.Close()
		t.Error("it is opened")
	}
	client.only(t, "WARN the cluster is not reachable", "does not take our certificate")
}

func leafOf(t *testing.T, c *tls.Config) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
