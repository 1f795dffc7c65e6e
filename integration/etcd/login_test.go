package etcd_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var authenticates = proxy.Method("/etcdserverpb.Auth/Authenticate")

var (
	// lasting are tokens that live for as long as a test.
	lasting = servers.Args("--auth-token-ttl", "300")
	// cheap makes a comparison of passwords cost a sixteenth of what it usually does, so that no
	// lease ends because the machine is busy. What is wanted is that there are few.
	cheap = servers.Args("--bcrypt-cost", "6")
)

// TestLoginsAreFew: a client that holds a lock logs in once, however often it renews. One that
// the application has made logs in for each stream that it opens, and opens three.
func TestLoginsAreFew(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const ttl, passes = 2 * time.Second, 6
			s, ns := guard(t, kind, lasting, cheap), locktest.Namespace()
			s.allow(t, "locks", ns+"/", readWrite)
			ours, theirs := through(t, s.Addr()), through(t, s.Addr())
			logins := map[string]*atomic.Int64{"ours": locktest.Tally(ours, authenticates), "theirs": locktest.Tally(theirs, authenticates)}
			b, err := etcd.New(t.Context(), known(t, "locks", theirs.Addr()), &etcd.Options{Namespace: ns})
			if err != nil {
				t.Fatal(err)
			}
			if w := b.Info().Warnings; len(w) != 1 || !strings.Contains(w[0], "password") {
				t.Errorf("a client that logs in by itself gives no warning of it: %q", w)
			}
			clients := map[string]*fencelock.Client{
				"ours":   locktest.Open(t, urlFor("locks", ours.Addr()), ns, ttl),
				"theirs": locktest.New(t, b, ttl),
			}
			for who, c := range clients {
				l := locktest.Lock(t, c, who)
				for range passes {
					locktest.AwaitRenewal(t, l, ttl, time.Now())
				}
				locktest.Unlock(t, l)
			}
			// Of theirs, the first is its own; a stream may break once.
			for who, most := range map[string]int64{"ours": 1, "theirs": 5} {
				if n := logins[who].Load(); n > most {
					t.Errorf("%s has logged in %d times in %d renewals, want %d at most", who, n, passes, most)
				}
			}
		})
	}
}

// TestLoginsAfterRestart: a server that was restarted knows no token any more. Each client logs
// in about once, however many requests of it are refused, and no lease is lost.
func TestLoginsAfterRestart(t *testing.T) {
	t.Parallel()
	const clients, ttl = 8, 6 * time.Second
	s, ns := guard(t, servers.Etcd, lasting, cheap), locktest.Namespace()
	s.allow(t, "locks", ns+"/", readWrite)
	p := through(t, s.Addr())
	logins := locktest.Tally(p, authenticates)
	held := holders(t, clients, urlFor("locks", p.Addr()), ns, ttl)
	before := logins.Load()
	s.Kill(t)
	s.Restart(t)
	expectKept(t, held, ttl)
	if n := logins.Load() - before; n > 2*clients {
		t.Errorf("%d clients have logged in %d times after the restart", clients, n)
	}
	t.Logf("%d clients logged in %d times before, and %d times after", clients, before, logins.Load()-before)
}

// TestLoginsAfterLeaderRestart: the same with three members, of which one forgets its tokens.
func TestLoginsAfterLeaderRestart(t *testing.T) {
	t.Parallel()
	const clients, ttl = 8, 6 * time.Second
	c, ns := servers.StartCluster(t, servers.Etcd, 3, cheap), locktest.Namespace()
	allow(t, switchOn(t, c.Addrs()...), "locks", ns+"/", readWrite)
	var at []string
	var logins []*atomic.Int64
	for _, addr := range c.Addrs() {
		p := through(t, addr)
		at, logins = append(at, p.Addr()), append(logins, locktest.Tally(p, authenticates))
	}
	count := func() (n int64) {
		for _, l := range logins {
			n += l.Load()
		}
		return n
	}
	held := holders(t, clients, urlFor("locks", strings.Join(at, ",")), ns, ttl)
	before := count()
	old := c.Leader(t)
	old.Kill(t)
	<-time.After(time.Second)
	old.Restart(t)
	expectKept(t, held, ttl)
	if n := count() - before; n > 2*clients {
		t.Errorf("%d clients have logged in %d times after the restart", clients, n)
	}
	t.Logf("%d clients logged in %d times before, and %d times after", clients, before, count()-before)
}

// TestShortTokens: with tokens that end after five seconds, whether or not they are used, short
// leases are kept, and a lock goes from hand to hand as ever.
func TestShortTokens(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const ttl, lasts = 3 * time.Second, 12 * time.Second
			s, ns := guard(t, kind, cheap, servers.File("jwt.key", []byte("a key that is long enough for the tokens")),
				servers.Args("--auth-token", "jwt,priv-key="+servers.Dir+"/jwt.key,sign-method=HS256,ttl=5s")), locktest.Namespace()
			s.allow(t, "locks", ns+"/", readWrite)
			p := through(t, s.Addr())
			logins := locktest.Tally(p, authenticates)
			held := holders(t, 1, urlFor("locks", p.Addr()), ns, ttl)
			ctx, cancel := context.WithTimeout(t.Context(), lasts)
			defer cancel()
			var book locktest.Ledger
			var grants atomic.Int64
			var turns sync.WaitGroup
			const players = 2
			for range players {
				c := locktest.Open(t, urlFor("locks", p.Addr()), ns, ttl)
				turns.Go(func() {
					for ctx.Err() == nil {
						l, err := c.Lock(ctx, "turns")
						if err != nil {
							if ctx.Err() == nil {
								t.Errorf("Lock: %v", err)
							}
							return
						}
						book.Record(t, l)
						locktest.Unlock(t, l)
						grants.Add(1)
						<-time.After(5 * time.Millisecond) // the machine has others to serve
					}
				})
			}
			turns.Wait()
			expectKept(t, held, ttl)
			// A waiter that is not told looks once in a third of the TTL.
			if n := grants.Load(); n < 2*int64(players*lasts/(ttl/3)) {
				t.Errorf("%d grants in %v", n, lasts)
			}
			// A token is renewed a little before its end, and a restart of the count costs one.
			if n, most := logins.Load(), int64((players+1)*(lasts/(3*time.Second)+2)); n > most {
				t.Errorf("%d logins in %v, want %d at most", n, lasts, most)
			}
			t.Logf("%d grants and %d logins in %v", grants.Load(), logins.Load(), lasts)
		})
	}
}

// holders are clients that hold a lock each.
func holders(t *testing.T, n int, u, ns string, ttl time.Duration) []*fencelock.Lease {
	t.Helper()
	held := make([]*fencelock.Lease, n)
	for i := range held {
		held[i] = locktest.Lock(t, locktest.Open(t, u, ns, ttl), fmt.Sprint(i))
	}
	return held
}

// expectKept wants all leases to be renewed once more, and frees them.
func expectKept(t *testing.T, held []*fencelock.Lease, ttl time.Duration) {
	t.Helper()
	now := time.Now()
	for _, l := range held {
		locktest.AwaitRenewal(t, l, ttl, now)
	}
	for _, l := range held {
		locktest.Unlock(t, l)
	}
}

// TestTokensEnd: the token by which the server knows a client ends while that holds,
// and while it waits, or is forgotten in a restart. The client gets another, and
// nobody notices.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		for name, end := range map[string]func(*testing.T, *servers.Server){
			"by age": func(*testing.T, *servers.Server) { <-time.After(4 * time.Second) },
			// After a kill it may find the logins in its log, and know the tokens again.
			"by restart": func(t *testing.T, s *servers.Server) { s.Kill(t); s.Restart(t); s.Restart(t) },
		} {
			t.Run(kind.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				const ttl = 30 * time.Second
				s, ns := guard(t, kind), locktest.Namespace()
				s.allow(t, "locks", ns+"/", readWrite)
				links := []*proxy.Proxy{through(t, s.Addr()), through(t, s.Addr())}
				holder := locktest.Open(t, urlFor("locks", links[0].Addr()), ns, ttl)
				waiter := locktest.Open(t, urlFor("locks", links[1].Addr()), ns, ttl)
				again := []*atomic.Int64{locktest.Tally(links[0], authenticates), locktest.Tally(links[1], authenticates)}
				var book locktest.Ledger
				held, other := locktest.Lock(t, holder, "k"), locktest.Lock(t, holder, "another")
				book.Record(t, held)
				waiting := locktest.StartLock(t.Context(), waiter, "k")
				awaitWaiters(t, holder, "k", 1)
				end(t, s.Server)
				ended := time.Now()
				// None is sent while the last one is fresher than a twelfth of the TTL.
				locktest.Eventually(t, locktest.Electing, "the lease is renewed", func() bool {
					err := held.Ensure(t.Context(), ttl-ttl/8)
					return err == nil && held.ValidUntil().Add(ttl/10-ttl).After(ended)
				})
				if name == "by age" {
					end(t, s.Server)
				}
				locktest.Unlock(t, held)
				next := locktest.ExpectLock(t, waiting, locktest.Soon)
				book.Record(t, next)
				locktest.Unlock(t, next)
				locktest.Unlock(t, other)
				for i, who := range []string{"holder", "waiter"} {
					if again[i].Load() == 0 {
						t.Errorf("the token of the %s has not ended", who)
					}
				}
				expectNothingLeft(t, s.admin, ns)
			})
		}
	}
}
