package raftlocal_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

const page = "../../docs/raftlocal.md"

// block is the first fenced block of the page of a kind, after a heading.
func block(t *testing.T, heading, kind string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n"+heading+"\n")
	_, begin, fenced := strings.Cut(after, "\n```"+kind+"\n")
	code, _, closed := strings.Cut(begin, "\n```\n")
	if !ok || !fenced || !closed {
		t.Fatalf("%s has no block of %s after %q", page, kind, heading)
	}
	return code
}

// TestCertificatesOfThePage: what the page's commands make does for members and clients.
func TestCertificatesOfThePage(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is missing: install the package openssl")
		}
		t.Skip("openssl is missing: install the package openssl, and the page's commands are tried")
	}
	commands, dir := block(t, "### 1. Certificates", "sh"), t.TempDir()
	var peers, hosts []string
	for i, name := range []string{"a", "b", "c"} {
		// On Linux all of 127/8 is this machine, so nobody else will choose the same.
		ip := fmt.Sprintf("127.%d.%d.%d", 1+rand.N(250), rand.N(250), 1+rand.N(250))
		as := fmt.Sprintf("DNS:h%d", i+1)
		if !strings.Contains(commands, as+" ") {
			t.Fatalf("the commands have no %s:\n%s", as, commands)
		}
		commands = strings.ReplaceAll(commands, as+" ", as+",IP:"+ip+" ")
		peers, hosts = append(peers, name+"="+ip+":7300"), append(hosts, ip+":7300")
	}
	sh := exec.CommandContext(t.Context(), "sh", "-e")
	sh.Dir, sh.Stdin = dir, strings.NewReader(commands)
	if said, err := sh.CombinedOutput(); err != nil || !strings.Contains(string(said), "client.pem: OK") {
		t.Fatalf("the page's commands: %v\n%s", err, said)
	}
	files := func(name string) url.Values {
		return url.Values{
			"ca": {filepath.Join(dir, "ca.pem")}, "cert": {filepath.Join(dir, name+".pem")}, "key": {filepath.Join(dir, name+".key")}, "cluster": {"prod"},
		}
	}
	var members []*process
	for _, name := range []string{"a", "b", "c"} {
		q := files(name)
		q.Set("id", name)
		q.Set("peers", strings.Join(peers, ","))
		p := spawn(t, "raft://"+filepath.Join(t.TempDir(), name)+"?"+q.Encode())
		t.Cleanup(func() { _ = p.kill() })
		members = append(members, p)
	}
	for _, p := range members {
		p.awaitOpen(t)
	}
	c := locktest.Open(t, "raft://"+strings.Join(hosts, ",")+"?"+files("client").Encode(), "page", time.Minute)
	locktest.Unlock(t, locktest.Lock(t, c, "k"))
}

// TestUnitOfThePage: the unit is one that systemd understands.
func TestUnitOfThePage(t *testing.T) {
	t.Parallel()
	unit := block(t, "### 4. A systemd unit", "ini")
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is missing: where systemd is, the page's unit is looked at")
	}
	file := filepath.Join(t.TempDir(), "locks.service")
	unit = strings.ReplaceAll(unit, "/usr/local/bin/member", "/bin/true")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", file).CombinedOutput(); err != nil || strings.Contains(string(said), "locks.service") {
		t.Errorf("%v: %s", err, said)
	}
}
