package raftlocal_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/oldbuild"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// mixed is a cluster of three, of which each member runs either this build or one from before
// members had ids of their own.
type mixed struct {
	t       *testing.T
	old     string // the program
	base    string
	peers   string
	addrs   map[string]string
	running map[string]*exec.Cmd
	said    map[string]*bytes.Buffer
}

var mixedNames = []string{"a", "b", "c"}

func newMixed(t *testing.T) *mixed {
	t.Helper()
	m := &mixed{
		t: t, old: oldbuild.Program(t, "integration/member"), base: t.TempDir(),
		addrs: map[string]string{}, running: map[string]*exec.Cmd{}, said: map[string]*bytes.Buffer{},
	}
	var peers []string
	for _, name := range mixedNames {
		m.addrs[name] = fmt.Sprintf("127.%d.%d.%d:7300", 1+rand.N(250), rand.N(250), 1+rand.N(250))
		peers = append(peers, name+"="+m.addrs[name])
	}
	m.peers = strings.Join(peers, ",")
	t.Cleanup(func() {
		for name := range m.running {
			m.end(name, syscall.SIGKILL)
		}
	})
	return m
}

func (m *mixed) dir(name string) string { return filepath.Join(m.base, name) }

func (m *mixed) url(name string) string {
	return "raft://" + m.dir(name) + "?id=" + name + "&cluster=" + servers.RaftCluster + "&insecure=true&peers=" + m.peers
}

// start starts a member, of the old build or of this one.
func (m *mixed) start(name string, old bool) {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), urlVariable+"="+m.url(name))
	if old {
		cmd = exec.Command(m.old, "-url", m.url(name))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// What it waits for the end of, where it is of this build.
	if _, err := cmd.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	m.said[name] = new(bytes.Buffer)
	cmd.Stderr = m.said[name]
	locktest.Unlabelled(func() { err = cmd.Start() })
	if err != nil {
		m.t.Fatal(err)
	}
	m.running[name] = cmd
}

// end ends a member, and waits until it has.
func (m *mixed) end(name string, by syscall.Signal) {
	cmd := m.running[name]
	delete(m.running, name)
	_ = cmd.Process.Signal(by)
	_ = cmd.Wait()
}

// refused waits until a member ends by itself, and returns what it has said.
func (m *mixed) refused(name string) string {
	m.t.Helper()
	cmd := m.running[name]
	ended := make(chan struct{})
	locktest.Unlabelled(func() {
		go func() {
			defer close(ended)
			_ = cmd.Wait()
		}()
	})
	select {
	case <-ended:
	case <-time.After(locktest.Electing):
		_ = cmd.Process.Kill()
		<-ended
		m.t.Errorf("%s goes on", name)
	}
	delete(m.running, name)
	return m.said[name].String()
}

func (m *mixed) hosts() (all []string) {
	for _, name := range mixedNames {
		all = append(all, m.addrs[name])
	}
	return all
}

// whole waits until all members follow, and returns who leads.
func (m *mixed) whole(config *raftlocal.Options) string {
	m.t.Helper()
	admin, err := raftlocal.NewAdmin(config)
	if err != nil {
		m.t.Fatal(err)
	}
	var s raftlocal.Status
	locktest.Eventually(m.t, 2*locktest.Electing, "all members follow", func() bool {
		s, err = admin.Status(m.t.Context())
		if err != nil || !s.Serving || len(s.Members) != len(mixedNames) {
			return false
		}
		for _, p := range s.Members {
			if p.Alive == nil || !*p.Alive || p.Match+100 < s.Log.Committed {
				return false
			}
		}
		return true
	})
	return s.Leader
}

// wipe removes a member's directory.
func (m *mixed) wipe(name string) {
	m.t.Helper()
	if err := os.RemoveAll(m.dir(name)); err != nil {
		m.t.Fatal(err)
	}
}

func expectWords(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %q, want %q in it", what, text, w)
		}
	}
}

// TestUpgradeOfMembers: a cluster whose directories are of the build before is upgraded member by
// member under load. No lock is lost, tokens rise, and nobody gets what another holds. A member of
// this build with an empty directory does not get in beside old ones, nor after them.
func TestUpgradeOfMembers(t *testing.T) {
	t.Parallel()
	m := newMixed(t)
	for _, name := range mixedNames {
		m.start(name, true)
	}
	ns := locktest.Namespace()
	config := member(m.hosts(), ns)
	m.whole(config)
	const ttl = 20 * time.Second
	holder := open(t, m.hosts(), ns, ttl)
	held := locktest.Lock(t, holder, "held")
	p := startPulse(t, m.hosts(), ns, 4)

	m.end("c", syscall.SIGTERM)
	if err := os.Rename(m.dir("c"), m.dir("kept")); err != nil {
		t.Fatal(err)
	}
	m.start("c", false)
	expectWords(t, "an empty member beside two old ones", m.refused("c"), "has begun", "join=true", "Admin.ReplaceMember")
	m.wipe("c")
	if err := os.Rename(m.dir("kept"), m.dir("c")); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"c", "a", "b"} {
		if i > 0 {
			m.end(name, syscall.SIGTERM)
		}
		began := time.Now()
		m.start(name, false)
		leader := m.whole(config)
		t.Logf("%s is upgraded, %s leads, the longest time without a grant was %v", name, leader, p.longest(t, began))
	}
	// And back: a deployment may be undone, as long as nobody was added since.
	m.end("a", syscall.SIGTERM)
	m.start("a", true)
	m.whole(config)
	m.end("a", syscall.SIGTERM)
	m.start("a", false)
	m.whole(config)
	p.stop(t)
	if err := held.Err(); err != nil {
		t.Errorf("the lock that was held all the time: %v", err)
	}
	locktest.Unlock(t, held)

	m.end("b", syscall.SIGKILL)
	m.wipe("b")
	m.start("b", false)
	expectWords(t, "an empty member in an upgraded cluster", m.refused("b"), "has begun", "join=true", "Admin.ReplaceMember")
}

// TestOldMemberWithoutDirectory: a member of the build before that comes with an empty directory
// into a cluster that this build has founded holds nothing, and makes no majority with one that
// lags: it has another id than the one that voted.
func TestOldMemberWithoutDirectory(t *testing.T) {
	t.Parallel()
	m := newMixed(t)
	for _, name := range mixedNames {
		m.start(name, false)
	}
	ns := locktest.Namespace()
	config := member(m.hosts(), ns)
	leader := m.whole(config)
	var others []string
	for _, name := range mixedNames {
		if name != leader {
			others = append(others, name)
		}
	}
	lags, lost := others[0], others[1]
	holder := open(t, m.hosts(), ns, time.Minute)
	m.end(lags, syscall.SIGKILL)
	held := locktest.Lock(t, holder, "precious")
	m.end(leader, syscall.SIGKILL)
	m.end(lost, syscall.SIGKILL)
	m.wipe(lost)
	m.start(lags, false)
	m.start(lost, true)
	admin, err := raftlocal.NewAdmin(config)
	if err != nil {
		t.Fatal(err)
	}
	const stranger = "not the one that you look for"
	locktest.Eventually(t, locktest.Electing, "the one that lags refuses the old one", func() bool {
		s, err := admin.StatusOf(t.Context(), m.addrs[lost])
		for _, p := range s.Members {
			if p.Name == lags && strings.Contains(p.Problem, stranger) {
				return true
			}
		}
		if err == nil && s.Leader != "" {
			t.Fatalf("the old one has a leader: %+v", s)
		}
		return false
	})
	if err := held.Err(); err != nil {
		t.Fatalf("the lease has ended by itself, so this proves nothing: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if c, err := fencelock.Open(ctx, servers.RaftURL([]string{m.addrs[lags], m.addrs[lost]}, ns), nil); err == nil {
		_ = c.Close()
		t.Error("the one that lags and the old one take commands")
	}
	m.start(leader, false)
	expectWords(t, "the old one", m.refused(lost), "no majority", stranger)
	second := open(t, m.hosts(), ns, time.Minute)
	if l, err := second.TryLock(t.Context(), "precious"); err == nil {
		t.Errorf("granted a second time, with token %d after %d", l.Token(), held.Token())
	}
	locktest.Unlock(t, held)
}
