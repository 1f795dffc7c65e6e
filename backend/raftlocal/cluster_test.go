package raftlocal

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/testcert"
	"github.com/fencelock/fencelock/driver"
)

// cluster is several members in this process, on the loopback interface.
type cluster struct {
	t       *testing.T
	base    Config
	members map[string]*node
}

// node is a member that runs, or has run.
type node struct {
	Config
	lock   *dirlock.Lock
	server *server.Server
}

func (n *node) addr() string {
	for _, p := range n.Peers {
		if p.Name == n.ID {
			return p.Addr
		}
	}
	return ""
}

// freeAddr is an address on which nobody listens. On Linux all of 127/8 is this machine, so it is
// one that nobody else will choose meanwhile.
func freeAddr(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "linux" {
		return fmt.Sprintf("127.%d.%d.%d:7300", 1+rand.N(250), rand.N(250), 1+rand.N(250))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func peersNamed(t *testing.T, names ...string) (peers []Peer) {
	t.Helper()
	for _, name := range names {
		peers = append(peers, Peer{name, freeAddr(t)})
	}
	return peers
}

// newCluster starts members of these names.
func newCluster(t *testing.T, base Config, names ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, base: base, members: map[string]*node{}}
	c.base.Peers = peersNamed(t, names...)
	if c.base.Cluster == "" {
		c.base.Cluster = "test"
	}
	c.base.Insecure = c.base.TLS == nil
	for _, name := range names {
		conf := c.base
		conf.ID, conf.Dir = name, filepath.Join(t.TempDir(), name)
		c.start(conf)
	}
	return c
}

func (c *cluster) start(conf Config) *node {
	c.t.Helper()
	conf, err := conf.check()
	if err != nil {
		c.t.Fatal(err)
	}
	n := &node{Config: conf}
	if n.lock, n.server, err = startMember(conf); err != nil {
		c.t.Fatalf("starting %s: %v", conf.ID, err)
	}
	c.members[conf.ID] = n
	c.t.Cleanup(n.kill)
	return n
}

func (n *node) kill() {
	n.server.Kill()
	_ = n.lock.Release() // of one that was released before, too
}

// stop ends a member in good order.
func (c *cluster) stop(n *node) {
	c.t.Helper()
	if err := n.server.Stop(c.t.Context()); err != nil {
		c.t.Errorf("stopping %s: %v", n.ID, err)
	}
	if err := n.lock.Release(); err != nil {
		c.t.Error(err)
	}
}

// clientOf returns the Config of a client.
func (c *cluster) clientOf() Config {
	conf := c.base
	conf.Peers = nil
	for _, p := range c.base.Peers {
		conf.Hosts = append(conf.Hosts, p.Addr)
	}
	return conf
}

func (c *cluster) client() driver.Backend {
	c.t.Helper()
	b, err := New(within(c.t, 20*time.Second), c.clientOf())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = b.Close() })
	return b
}

func (c *cluster) admin() *Admin {
	c.t.Helper()
	a, err := NewAdmin(c.clientOf())
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// leader is the member that leads, in the eyes of one that serves.
func (c *cluster) leader() *node {
	c.t.Helper()
	ctx := within(c.t, 20*time.Second)
	for {
		s, err := c.admin().Status(ctx)
		if err == nil && s.Serving {
			return c.members[s.Member]
		}
		if ctx.Err() != nil {
			c.t.Fatalf("no leader: %+v, %v", s, err)
		}
	}
}

// takesOne takes and releases a lock, and returns the token.
func takesOne(t *testing.T, b driver.Backend, key, owner string) uint64 {
	t.Helper()
	g := take(t, b, request(key, owner, true))
	if err := b.Release(t.Context(), g); err != nil && !errors.Is(err, driver.ErrUnavailable) {
		t.Fatal(err)
	}
	return uint64(g.Token)
}

// A client follows the leader: through a hand-over in good order, the leader's death and its
// return. A lock that is held stays held.
func TestClusterFailOver(t *testing.T) {
	c := newCluster(t, Config{}, "a", "b", "c")
	b := c.client()
	held := take(t, b, request("held", "owner", false))
	last := takesOne(t, b, "other", "0")
	for round, end := range []string{"stop", "kill", "kill"} {
		old := c.leader()
		began := time.Now()
		if end == "stop" {
			c.stop(old)
		} else {
			old.kill()
		}
		ended := time.Since(began)
		token := takesOne(t, b, "other", fmt.Sprint(round+1))
		t.Logf("%s: ended in %v, the next grant after %v", end, ended, time.Since(began))
		if token <= last {
			t.Errorf("token %d after %d", token, last)
		}
		last = token
		c.start(old.Config)
	}
	if again := take(t, b, request("held", "owner", false)); again.Token != held.Token {
		t.Errorf("token %d, want %d", again.Token, held.Token)
	}
}

// Each member is restarted while clients work. No lock is lost, and nobody gets one that is held.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, Config{}, "a", "b", "c")
	holder := c.client()
	held := take(t, holder, request("held", "owner", false))
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i := range 4 {
		b := c.client()
		working.Go(func() {
			last := uint64(0)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				token := takesOne(t, b, fmt.Sprint("work", i%2), fmt.Sprint(i, "-", n))
				if token <= last {
					t.Errorf("token %d after %d", token, last)
				}
				last = token
			}
		})
	}
	for _, name := range []string{"a", "b", "c"} {
		began := time.Now()
		c.stop(c.members[name])
		c.start(c.members[name].Config)
		t.Logf("%s restarted in %v", name, time.Since(began))
		c.caughtUp(3)
		renewed := holder.Renew(t.Context(), []driver.Grant{held})
		if renewed[0].Err != nil {
			t.Errorf("after the restart of %s: %v", name, renewed[0].Err)
		}
		held.Start = renewed[0].Start
	}
	close(stop)
	working.Wait()
	if err := holder.Release(t.Context(), held); err != nil {
		t.Error(err)
	}
}

// caughtUp waits until n members are alive and have all of the log.
func (c *cluster) caughtUp(n int) Status {
	c.t.Helper()
	ctx := within(c.t, 20*time.Second)
	for {
		s, err := c.admin().Status(ctx)
		good := 0
		for _, m := range s.Members {
			if m.Alive && m.Voter && m.Match+200 >= s.Log.Committed {
				good++
			}
		}
		if err == nil && s.Serving && good == n && len(s.Members) == n {
			return s
		}
		if ctx.Err() != nil {
			c.t.Fatalf("not caught up: %+v, %v", s, err)
		}
	}
}

func TestChangeMembers(t *testing.T) {
	c := newCluster(t, Config{}, "a", "b", "c")
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
	// c has lost its disk.
	c.members["c"].kill()
	e, ePeer := join("e")
	if err := c.admin().ReplaceMember(ctx, "c", ePeer); err != nil {
		t.Fatal(err)
	}
	next("after replacing c by e")
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
		"one address":        nil,
	} {
		if err != nil && !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	c := newCluster(t, Config{}, "a", "b", "c")
	b := c.client()
	held := take(t, b, request("held", "owner", false))
	path := filepath.Join(t.TempDir(), "backup")
	backup := func() string {
		t.Helper()
		var s strings.Builder
		if err := c.admin().Backup(within(t, 10*time.Second), &s); err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	saved := backup()
	after := takesOne(t, b, "granted after the backup", "o")
	for _, n := range c.members {
		n.kill()
	}

	// A directory that processes share.
	dir := filepath.Join(t.TempDir(), "restored")
	if err := Restore(Config{Dir: dir}, strings.NewReader(saved), time.Now()); err != nil {
		t.Fatal(err)
	}
	alone := use(t, Config{Dir: dir})
	if s, err := alone.Inspect(t.Context(), "held"); err != nil || s.Owner != "owner" || s.Token != held.Token {
		t.Errorf("the lock that was held: %+v, %v", s, err)
	}
	if token := takesOne(t, alone, "k", "o"); token <= after || token < uint64(time.Now().Add(-time.Hour).UnixMicro()) {
		t.Errorf("token %d, and %d was granted after the backup", token, after)
	}
	if err := Restore(Config{Dir: dir}, strings.NewReader(saved), time.Now()); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restoring into a directory that is in use: %v", err)
	}

	// A cluster of three, restored with one time.
	at := time.Now()
	again := &cluster{t: t, base: c.base, members: map[string]*node{}}
	again.base.Peers = peersNamed(t, "x", "y", "z")
	for _, p := range again.base.Peers {
		conf := again.base
		conf.ID, conf.Dir = p.Name, filepath.Join(t.TempDir(), p.Name)
		if err := Restore(conf, strings.NewReader(saved), at); err != nil {
			t.Fatal(err)
		}
		again.start(conf)
	}
	if token := takesOne(t, again.client(), "k", "o"); token <= after {
		t.Errorf("token %d, and %d was granted after the backup", token, after)
	}
	for what, text := range map[string]string{"cut": saved[:len(saved)-1], "changed": "x" + saved[1:], "none": ""} {
		if err := Restore(Config{Dir: path + what}, strings.NewReader(text), at); !errors.Is(err, errBackup) {
			t.Errorf("a backup that is %s: %v", what, err)
		}
	}
}

func TestHTTP(t *testing.T) {
	c := newCluster(t, Config{}, "a", "b", "c")
	takesOne(t, c.client(), "k", "o")
	leader := c.leader()
	get := func(method, url string, header string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(clusterHeader, header)
		transport := &http.Transport{DisableKeepAlives: true}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	code, body := get("GET", "http://"+leader.addr()+"/status", "")
	for _, part := range []string{`"leader": "` + leader.ID + `"`, `"serving": true`, `"sessions": 1`, `"longest_queue": 0`, `"connected": true`} {
		if code != http.StatusOK || !strings.Contains(body, part) {
			t.Errorf("status %d without %s: %s", code, part, body)
		}
	}
	if code, body := get("GET", "http://"+leader.addr()+"/", ""); code != http.StatusOK || !strings.Contains(body, "/backup") {
		t.Errorf("the index: %d, %s", code, body)
	}
	if code, body := get("POST", "http://"+leader.addr()+"/leader", "another"); code != http.StatusConflict || !strings.Contains(body, clusterHeader) {
		t.Errorf("without the cluster's name: %d, %s", code, body)
	}
	for _, n := range c.members {
		if n == leader {
			continue
		}
		if code, body := get("POST", "http://"+n.addr()+"/leader?to="+n.ID, "test"); code != http.StatusTemporaryRedirect || !strings.Contains(body, leader.addr()) {
			t.Errorf("asked of a follower: %d, %s", code, body)
		}
	}
}

func TestClusterTLS(t *testing.T) {
	t.Parallel()
	ours, err := testcert.NewAuthority("ours")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := testcert.NewAuthority("theirs")
	if err != nil {
		t.Fatal(err)
	}
	conf := func(a *testcert.Authority, change func(*x509.Certificate)) Config {
		cert, err := a.Issue(change)
		if err != nil {
			t.Fatal(err)
		}
		tls := a.Config(cert)
		tls.ServerName = "localhost"
		return Config{TLS: tls}
	}
	c := newCluster(t, conf(ours, nil), "a", "b", "c")
	takesOne(t, c.client(), "k", "o")
	if s, err := c.admin().Status(within(t, 10*time.Second)); err != nil || len(s.Members) != 3 {
		t.Errorf("status over TLS: %+v, %v", s, err)
	}
	for what, is := range map[string]struct {
		Config
		cure string
	}{
		"another authority": {conf(theirs, nil), "of another authority"},
		"no TLS":            {Config{Insecure: true}, "takes TLS only"},
		"expired":           {conf(ours, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "take our certificate"},
	} {
		client := c.clientOf()
		client.TLS, client.Insecure = is.TLS, is.Insecure
		b, err := New(within(t, 3*time.Second), client)
		if err == nil {
			_ = b.Close()
		}
		if err == nil || !strings.Contains(err.Error(), is.cure) {
			t.Errorf("%s: %v, want %q", what, err, is.cure)
		}
	}
}
