package raftlocal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// TestTLS: members that are processes of their own, and talk to each other and to clients with
// certificates of one authority. The leader is killed, and what is held stays held. Who has no
// certificate, or another authority's, or wants another cluster, is told so.
func TestTLS(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Second
	authority, dir := locktest.NewAuthority(t), t.TempDir()
	secured := func(a *locktest.Authority) url.Values {
		f := a.Issue(t, t.TempDir())
		return url.Values{"ca": {f.CA}, "cert": {f.Cert}, "key": {f.Key}, "server_name": {"localhost"}, "cluster": {"secret"}}
	}
	members := map[string]*process{}
	var hosts, peers []string
	for _, name := range []string{"a", "b", "c"} {
		// On Linux all of 127/8 is this machine, so nobody else will choose the same.
		addr := fmt.Sprintf("127.%d.%d.%d:7300", 1+rand.N(250), rand.N(250), 1+rand.N(250))
		hosts, peers = append(hosts, addr), append(peers, name+"="+addr)
	}
	for _, peer := range peers {
		name, _, _ := strings.Cut(peer, "=")
		q := secured(authority)
		q.Set("id", name)
		q.Set("peers", strings.Join(peers, ","))
		p := spawn(t, "raft://"+filepath.Join(dir, name)+"?"+q.Encode())
		t.Cleanup(func() { _ = p.kill() })
		members[name] = p
	}
	for _, p := range members {
		p.awaitOpen(t)
	}

	q := secured(authority)
	u := "raft://" + strings.Join(hosts, ",") + "?" + q.Encode()
	c, other := locktest.Open(t, u, "", ttl), locktest.Open(t, u, "", ttl)
	held := locktest.Lock(t, c, "held")
	conf, err := raftlocal.ParseURL(parsed(t, u))
	if err != nil {
		t.Fatal(err)
	}
	leader := status(t, conf).Member
	began := time.Now()
	if err := members[leader].kill(); err != nil {
		t.Fatal(err)
	}
	locktest.ExpectHeldByAnother(t, other, "held")
	locktest.AwaitRenewal(t, held, ttl, began)
	locktest.Unlock(t, held)
	if s := status(t, conf); s.Member == leader {
		t.Errorf("%s leads, which was killed", leader)
	}

	strange := secured(locktest.NewAuthority(t))
	elsewhere := secured(authority)
	elsewhere.Set("cluster", "another")
	wrongName := secured(authority)
	wrongName.Set("server_name", "elsewhere.example")
	for why, query := range map[string]url.Values{
		"takes TLS only":    {"insecure": {"true"}, "cluster": {"secret"}},
		"certificate":       strange,
		"elsewhere.example": wrongName,
		"another":           elsewhere,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), locktest.Electing)
		_, err := raftlocal.Open(ctx, parsed(t, "raft://"+strings.Join(hosts, ",")+"?"+query.Encode()), driver.OpenOptions{Logger: locktest.Silent})
		if err == nil || !strings.Contains(err.Error(), why) || ctx.Err() != nil {
			t.Errorf("Open = %v; want an error that says %q, at once", err, why)
		}
		cancel()
	}
}

func parsed(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
