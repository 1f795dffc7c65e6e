package redis_test

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestTokensRise tests promise 2: tokens of one key rise from grant to grant,
// whatever happens to the grants, to the counter and to the server in between.
// The server keeps nothing on disk but what a step tells it to.
func TestTokensRise(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind)
			p := through(t, s.Addr())
			ns := locktest.Namespace()
			w := &tokenWorld{
				server: s, link: p, ns: ns, admin: raw(t, s.Addr()),
				book:   locktest.Ledger{TokensOnly: true}, // some steps destroy the locks
				first:  open(t, p.Addr(), ns, time.Minute),
				second: open(t, s.Addr(), ns, time.Minute),
			}
			for _, step := range tokenSteps {
				if !t.Run(step.through, func(t *testing.T) { w.run(t, step) }) {
					return // the next would only suffer for it
				}
			}
		})
	}
}

// tokenWorld has two clients that take turns: the first holds the keys, something
// happens, the second gets them.
type tokenWorld struct {
	server        *servers.Server
	link          *proxy.Proxy // of the first client
	ns            string
	admin         *goredis.Client
	first, second *fencelock.Client
	book          locktest.Ledger
	last          map[string]uint64 // the counters before the step destroys them
}

// tokenStep is something through which tokens rise.
type tokenStep struct {
	through string
	ttl     time.Duration // of the first client's locks; a minute if zero
	happen  func(t *testing.T, w *tokenWorld, held []*fencelock.Lease)
	// kept wants the first client to unlock in good order, and not to have lost
	// its leases.
	kept bool
	// gone is the counter's fate: it must have vanished, or gone back.
	gone bool
}

var tokenSteps = []tokenStep{
	{through: "release", kept: true, happen: func(*testing.T, *tokenWorld, []*fencelock.Lease) {}},
	{through: "expiry", ttl: 1500 * time.Millisecond, happen: func(t *testing.T, w *tokenWorld, held []*fencelock.Lease) {
		w.link.Blackhole()
		for _, l := range held {
			locktest.ExpectLost(t, l, locktest.Soon)
		}
	}},
	{through: "eviction", happen: func(t *testing.T, w *tokenWorld, held []*fencelock.Lease) {
		for _, l := range held {
			if _, err := w.second.Evict(t.Context(), l.Key(), ""); err != nil {
				t.Fatalf("Evict: %v", err)
			}
		}
	}},
	{through: "SCRIPT FLUSH", kept: true, happen: func(t *testing.T, w *tokenWorld, _ []*fencelock.Lease) {
		w.do(t, "SCRIPT", "FLUSH")
	}},
	{through: "DEL of the lock", happen: func(t *testing.T, w *tokenWorld, held []*fencelock.Lease) {
		for _, l := range held {
			if n := w.admin.Del(t.Context(), lockKeys(w.ns, l.Key())...).Val(); n != 1 {
				t.Fatalf("DEL removed %d keys", n)
			}
		}
	}},
	{through: "DEL of the counters", kept: true, gone: true, happen: func(t *testing.T, w *tokenWorld, _ []*fencelock.Lease) {
		for name := range counters(t, w.admin, w.ns) {
			w.do(t, "DEL", name)
		}
	}},
	{through: "FLUSHALL", gone: true, happen: func(t *testing.T, w *tokenWorld, _ []*fencelock.Lease) {
		w.do(t, "FLUSHALL")
	}},
	{through: "restart without data", gone: true, happen: func(t *testing.T, w *tokenWorld, _ []*fencelock.Lease) {
		w.server.Kill(t)
		w.server.Restart(t)
	}},
	{through: "restart with an old snapshot", gone: true, happen: func(t *testing.T, w *tokenWorld, held []*fencelock.Lease) {
		for _, l := range held {
			locktest.Unlock(t, l)
		}
		w.do(t, "SAVE")
		for _, l := range held { // grants of which the snapshot knows nothing
			for range 20 {
				lease := locktest.Lock(t, w.second, l.Key())
				w.book.Record(t, lease)
				locktest.Unlock(t, lease)
			}
		}
		w.last = counters(t, w.admin, w.ns)
		w.server.Kill(t)
		w.server.Restart(t)
	}},
}

func (w *tokenWorld) run(t *testing.T, step tokenStep) {
	if step.ttl == 0 {
		step.ttl = time.Minute
	}
	const keys = 48 // some share a counter
	var held []*fencelock.Lease
	for n := range keys {
		l := locktest.Lock(t, w.first, fmt.Sprintf("invoices/%d", n), fencelock.WithTTL(step.ttl))
		w.book.Record(t, l)
		held = append(held, l)
	}
	w.last = counters(t, w.admin, w.ns)
	if len(w.last) == 0 || len(w.last) == keys {
		t.Fatalf("%d counters for %d keys: none is shared", len(w.last), keys)
	}
	step.happen(t, w, held)
	if after := counters(t, w.admin, w.ns); step.gone {
		for name, n := range w.last {
			if after[name] >= n {
				t.Errorf("the counter %s was %d and is %d: the step has changed nothing", name, n, after[name])
			}
		}
	}
	if step.kept {
		for _, l := range held {
			locktest.Unlock(t, l)
		}
	}
	for _, l := range held {
		next := locktest.Lock(t, w.second, l.Key())
		w.book.Record(t, next)
		if err := w.book.Store.Admit(l.Key(), l.Token()); err == nil {
			t.Errorf("the store takes the former holder's token of %q", l.Key())
		}
		locktest.Unlock(t, next)
	}
	w.link.Heal()
	for _, l := range held {
		if err := l.Unlock(t.Context()); err != nil && !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock: %v", err)
		}
	}
}

func (w *tokenWorld) do(t *testing.T, args ...any) {
	t.Helper()
	if err := w.admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// counters are the last tokens on the server, by the name of their key.
func counters(t *testing.T, admin *goredis.Client, ns string) map[string]uint64 {
	t.Helper()
	all := make(map[string]uint64)
	for _, name := range namesIn(t, admin, ns) {
		if strings.HasSuffix(name, ":t") && !strings.HasSuffix(name, "}:t") {
			n, err := strconv.ParseUint(admin.Get(t.Context(), name).Val(), 10, 63)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[name] = n
		}
	}
	return all
}

// TestTokensRiseThroughFailback: a master is replaced by a replica that had not
// got its last grants, follows it, and so loses them too, and is made the master
// again. It was never restarted, and clients may have kept their connections.
func TestTokensRiseThroughFailback(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			now := servers.Args("--repl-diskless-sync-delay", "0")
			first, second := servers.Start(t, kind, now), servers.Start(t, kind, now)
			a, b := raw(t, first.Addr()), raw(t, second.Addr())
			c := open(t, first.Addr(), locktest.Namespace(), time.Minute)
			var book locktest.Ledger
			grant := func() {
				t.Helper()
				l := locktest.Lock(t, c, "k")
				book.Record(t, l)
				locktest.Unlock(t, l)
			}
			grant()
			follow(t, b, a)
			for range 20 { // grants of which the second knows nothing
				grant()
			}
			before := counterSum(t, a)
			follow(t, a, b)
			if after := counterSum(t, a); after >= before {
				t.Fatalf("the counter was %d and is %d: it has not gone back", before, after)
			}
			grant()
		})
	}
}

// follow makes a server a replica of another until it has its data, and then a
// master.
func follow(t *testing.T, replica, master *goredis.Client) {
	t.Helper()
	// Its own address, as others on its network see it.
	info := master.Do(t.Context(), "CLIENT", "INFO").String()
	addr := regexp.MustCompile(`laddr=(\S+)`).FindStringSubmatch(info)
	if addr == nil {
		t.Fatalf("CLIENT INFO: %s", info)
	}
	host, port, err := net.SplitHostPort(addr[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	locktest.Eventually(t, 4*locktest.Soon, "the replica has the data", func() bool {
		return strings.Contains(replica.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	if err := replica.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
}

func counterSum(t *testing.T, c *goredis.Client) (sum uint64) {
	t.Helper()
	for _, n := range counters(t, c, "test-*") {
		sum += n
	}
	return sum
}
