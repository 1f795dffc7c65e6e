package raftlocal_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// TestRotation: the authority of a cluster is replaced while it works, with all certificates. No
// member and no client is restarted for it, and the lock that is held all the time is kept. Who has
// only what was trusted before is refused then.
func TestRotation(t *testing.T) {
	t.Parallel()
	const ttl = 20 * time.Second
	old, next, names := locktest.NewAuthority(t), locktest.NewAuthority(t), []string{"a", "b", "c"}
	dirs := map[string]string{"client": t.TempDir()}
	var hosts, peers []string
	for _, name := range names {
		dirs[name] = t.TempDir()
		addr := fmt.Sprintf("127.%d.%d.%d:7300", 1+rand.N(250), rand.N(250), 1+rand.N(250))
		hosts, peers = append(hosts, addr), append(peers, name+"="+addr)
	}
	query := func(dir string) url.Values {
		return url.Values{
			"ca": {dir + "/ca.pem"}, "cert": {dir + "/cert.pem"}, "key": {dir + "/key.pem"},
			"server_name": {"localhost"}, "cluster": {"rotating"},
		}
	}
	read := func(file string) []byte {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	trust := func(roots ...[]byte) {
		for _, dir := range dirs {
			if err := os.WriteFile(dir+"/ca.pem", bytes.Join(roots, nil), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range dirs {
		old.Issue(t, dir)
	}
	before, after := read(dirs["a"]+"/ca.pem"), read(next.Issue(t, t.TempDir()).CA)

	members := map[string]*process{}
	base := t.TempDir()
	start := func(name string) {
		q := query(dirs[name])
		q.Set("id", name)
		q.Set("peers", strings.Join(peers, ","))
		p := spawn(t, "raft://"+filepath.Join(base, name)+"?"+q.Encode())
		t.Cleanup(func() { _ = p.kill() })
		members[name] = p
	}
	for _, name := range names {
		start(name)
	}
	for _, p := range members {
		p.awaitOpen(t)
	}
	u := "raft://" + strings.Join(hosts, ",") + "?" + query(dirs["client"]).Encode()
	c := locktest.Open(t, u, "", ttl)
	held := locktest.Lock(t, c, "held")
	conf, err := raftlocal.ParseURL(parsed(t, u))
	if err != nil {
		t.Fatal(err)
	}
	// meet has the leader killed and started again, so that all connect again.
	meet := func(what string) {
		t.Helper()
		leader := status(t, conf).Member
		began := time.Now()
		if err := members[leader].kill(); err != nil {
			t.Fatal(err)
		}
		start(leader)
		members[leader].awaitOpen(t)
		locktest.AwaitRenewal(t, held, ttl, began)
		t.Logf("%s: %s was the leader, and is back", what, leader)
	}
	trust(before, after)
	meet("both authorities are trusted")
	for _, dir := range dirs {
		next.Issue(t, dir)
	}
	trust(before, after)
	meet("all certificates are of the new one")
	trust(after)
	meet("the old one is trusted no more")
	locktest.Unlock(t, held)

	stranger := t.TempDir()
	old.Issue(t, stranger)
	if err := os.WriteFile(stranger+"/ca.pem", append(before, after...), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), locktest.Electing)
	defer cancel()
	if _, err := raftlocal.Open(ctx, parsed(t, "raft://"+strings.Join(hosts, ",")+"?"+query(stranger).Encode()), driver.OpenOptions{Logger: locktest.Silent}); err == nil || !strings.Contains(err.Error(), "take our certificate") {
		t.Errorf("who has a certificate of the old authority: %v", err)
	}
}
