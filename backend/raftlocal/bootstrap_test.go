package raftlocal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

// wipe ends a member and loses its directory.
func (c *cluster) wipe(name string) Options {
	c.t.Helper()
	n := c.members[name]
	n.kill()
	if err := os.RemoveAll(n.Dir); err != nil {
		c.t.Fatal(err)
	}
	return n.Options
}

// said waits for a member to end, and returns why.
func (n *node) said(t *testing.T) string {
	t.Helper()
	select {
	case <-n.server.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("%s goes on", n.ID)
	}
	err := n.server.Err()
	if err == nil || errors.Is(err, server.ErrStopped) {
		t.Fatalf("%s has ended with %v", n.ID, err)
	}
	return err.Error()
}

// The first start needs all members once; whoever is there says who is missing. From then on a
// majority is enough.
func TestFirstStartNeedsAll(t *testing.T) {
	t.Parallel()
	peers := peersNamed(t, "a", "b", "c")
	c := &cluster{t: t, base: Options{Peers: peers, Cluster: "test", Insecure: true}, members: map[string]*node{}}
	start := func(name string) *node {
		conf := c.base
		conf.ID, conf.Dir = name, filepath.Join(t.TempDir(), name)
		return c.start(conf)
	}
	a := start("a")
	start("b")
	ctx := within(t, 30*time.Second)
	admin := c.admin()
	for {
		s, err := admin.StatusOf(ctx, peers[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s.Change, "start c") && len(s.Members) == 3 {
			wantWords(t, "the status", s.Members[2].Problem, "refused")
			break
		}
		if a.server.Leader().ID != 0 || ctx.Err() != nil {
			t.Fatalf("two of three begin: %+v", s)
		}
		<-time.After(10 * time.Millisecond)
	}
	b, err := New(within(t, time.Second), c.clientOf())
	if err == nil {
		_ = b.Close()
		t.Fatal("two of three take commands")
	}
	third := start("c")
	last := takesOne(t, c.client(), "k", "1")
	if low := uint64(time.Now().Add(-time.Hour).UnixMicro()); last < low {
		t.Errorf("token %d: if this cluster were in the place of another, it could be below one of that, which has begun before %d", last, low)
	}
	third.kill()
	if token := takesOne(t, c.client(), "k", "2"); token <= last {
		t.Errorf("token %d after %d", token, last)
	}
}

// A member that has lost its directory does not vote, even though it has its name, its address and
// its peers: with a member that lags it would be a majority that knows nothing of what was granted.
// It says what to do, and then does.
func TestLostDirectory(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	first := takesOne(t, c.client(), "k", "0")
	leader := c.leader()
	var lags, lost *node
	for _, n := range c.members {
		switch {
		case n == leader:
		case lags == nil:
			lags = n
		default:
			lost = n
		}
	}
	lags.kill()
	b := c.client()
	held := take(t, b, request("precious", "owner", false))
	leader.kill()
	again := c.wipe(lost.ID)
	c.start(lags.Options)
	empty := c.start(again)
	wantWords(t, "the one that is empty", empty.said(t), "has begun", "join=true", "Admin.ReplaceMember", lost.ID)
	// As one that is to join it does not vote either.
	again.Join = true
	empty.kill()
	if err := os.RemoveAll(again.Dir); err != nil {
		t.Fatal(err)
	}
	empty = c.start(again)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	if _, err := New(ctx, c.clientOf()); err == nil {
		t.Fatal("a member that lags and one that is empty take commands")
	}
	cancel()
	for _, p := range empty.server.Peers() {
		if p.Name == lags.ID {
			wantWords(t, "what the others say to it", p.Err, "another directory", "Admin.ReplaceMember")
		}
	}
	// The leader comes back with its disk.
	c.start(leader.Options)
	other := c.client()
	s, err := other.Inspect(t.Context(), "precious")
	if err != nil || !s.Held() || s.Holders[0].AttemptID != "owner" || s.Holders[0].Token != held.Token {
		t.Errorf("the lock that was held: %+v, %v", s, err)
	}
	// It is replaced by itself, at the same address.
	var self Peer
	for _, p := range c.base.Peers {
		if p.Name == lost.ID {
			self = p
		}
	}
	if err := c.admin().ReplaceMember(within(t, 20*time.Second), lost.ID, self); err != nil {
		t.Fatal(err)
	}
	c.caughtUp(3)
	if err := c.admin().ReplaceMember(within(t, 20*time.Second), lost.ID, self); err == nil {
		t.Error("a member is replaced by its own directory")
	}
	if token := takesOne(t, other, "k", "1"); token <= first {
		t.Errorf("token %d after %d", token, first)
	}
	// And lost once more, while it is one that joined.
	again = c.wipe(lost.ID)
	c.start(again)
	if err := c.admin().ReplaceMember(within(t, 20*time.Second), lost.ID, self); err != nil {
		t.Fatal(err)
	}
	c.caughtUp(3)
}

// A member with its own directory that was replaced in its absence is told so.
func TestReplacedInItsAbsence(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	takesOne(t, c.client(), "k", "0")
	old := c.members["c"].Options
	c.members["c"].kill()
	again := old
	again.Dir, again.Join = filepath.Join(t.TempDir(), "new"), true
	n := c.start(again)
	if err := c.admin().ReplaceMember(within(t, 20*time.Second), "c", Peer{"c", n.addr()}); err != nil {
		t.Fatal(err)
	}
	c.caughtUp(3)
	c.stop(n)
	wantWords(t, "the one that was replaced", refusal(t, old, 20*time.Second), "was removed from the cluster, or replaced", "join=true", "AddMember")
}

// Whoever is to be added must wait for that, under the name that it is added by.
func TestAddMemberThatIsNotThere(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a")
	takesOne(t, c.client(), "k", "0")
	admin, ctx := c.admin(), within(t, 60*time.Second)
	add := func(p Peer) string {
		t.Helper()
		return fmt.Sprint(admin.AddMember(ctx, p))
	}
	founder := c.base
	d := Peer{"d", freeAddr(t)}
	founder.Peers = []Peer{d, {"e", freeAddr(t)}, {"f", freeAddr(t)}}
	founder.ID, founder.Dir = "d", filepath.Join(t.TempDir(), "d")
	c.start(founder)
	nobody := Peer{"d", freeAddr(t)}
	var waiting sync.WaitGroup // for both at once
	waiting.Go(func() { wantWords(t, "nobody", add(nobody), "refused", "join=true") })
	waiting.Go(func() { wantWords(t, "one that founds", add(d), "found a cluster", "join=true") })
	waiting.Wait()
	wantWords(t, "another name", add(Peer{"x", d.Addr}), `the member "d", and not "x"`)
	wantWords(t, "itself", add(c.base.Peers[0]), "a member already")
}

// lateContext is a context whose deadline has passed before its timer has run, as on a busy machine.
type lateContext struct {
	context.Context
	deadline time.Time
}

func (c lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

// The reason of who cannot be added is what was seen, also if the last question ends at the deadline, and its error is there
// before the context has ended.
func TestAddMemberReasonAtDeadline(t *testing.T) {
	t.Parallel()
	inner, cancel := context.WithCancel(t.Context())
	ctx := lateContext{inner, time.Now().Add(askingAgain / 2)}
	asked := 0
	_, err := joining(ctx, func(context.Context, string) (bootstrap.Standing, error) {
		if asked++; asked == 1 {
			return bootstrap.Standing{}, errors.New("connection refused")
		}
		time.AfterFunc(askingAgain/2, cancel)
		return bootstrap.Standing{}, os.ErrDeadlineExceeded // as a connection's
	}, "d", "127.0.0.1:1")
	wantWords(t, "the last question ends at the deadline", fmt.Sprint(err), "connection refused", "join=true")
}

// Members that were restored from different backups do not begin together.
func TestRestoredDiffer(t *testing.T) {
	t.Parallel()
	old := newCluster(t, Options{}, "a")
	client := old.client()
	backup := func() string {
		t.Helper()
		var s strings.Builder
		if err := old.admin().Backup(within(t, 10*time.Second), &s); err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	takesOne(t, client, "k", "0")
	one := backup()
	takesOne(t, client, "k", "1")
	two := backup()
	c := &cluster{t: t, base: old.base, members: map[string]*node{}}
	c.base.Peers = peersNamed(t, "x", "y", "z")
	var last *node
	for i, p := range c.base.Peers {
		conf := c.base
		conf.ID, conf.Dir = p.Name, filepath.Join(t.TempDir(), p.Name)
		from := one
		if i == 2 {
			from = two
		}
		if err := Restore(&conf, strings.NewReader(from), time.Now()); err != nil {
			t.Fatal(err)
		}
		joins := conf
		joins.Join = true
		wantWords(t, "restored, and to join", refusal(t, joins, 20*time.Second), "without join=true")
		last = c.start(conf)
	}
	for ctx := within(t, 20*time.Second); ; <-time.After(10 * time.Millisecond) {
		var problems []string
		for _, p := range last.server.Peers() {
			problems = append(problems, p.Err)
		}
		if strings.Count(strings.Join(problems, "; "), "restored from different backups") == 2 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%q", problems)
		}
	}
}

// A member that began alone is told to list those who came later: if it lost its directory, it
// would ask nobody else, and begin alone again.
func TestPeersLackMembers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a")
	takesOne(t, c.client(), "k", "0")
	later := Peer{"b", freeAddr(t)}
	conf := c.base
	conf.Peers = append(slices.Clone(conf.Peers), later)
	conf.ID, conf.Dir, conf.Join = "b", filepath.Join(t.TempDir(), "b"), true
	c.start(conf)
	if err := c.admin().AddMember(within(t, 20*time.Second), later); err != nil {
		t.Fatal(err)
	}
	a := c.members["a"]
	c.stop(a)
	for _, listed := range []bool{false, true} {
		var log strings.Builder
		again := a.Options
		again.Logger = slog.New(slog.NewTextHandler(&log, nil))
		if listed {
			again.Peers = conf.Peers
		}
		n := c.start(again)
		c.stop(n) // so that nothing is logged any more
		if warns := strings.Contains(log.String(), "lacks=b"); warns == listed {
			t.Errorf("b is listed: %v; logged: %s", listed, &log)
		}
	}
	// An empty directory of a then has whom to ask.
	again := c.wipe("a")
	again.Peers = append(slices.Clone(conf.Peers), Peer{"c", freeAddr(t)})
	wantWords(t, "an empty directory", c.start(again).said(t), "has begun", "join=true")
}
