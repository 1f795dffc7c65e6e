package redlock_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// env is some nodes and a namespace.
type env struct {
	masters []*servers.Server
	ns      string
	query   url.Values // of each URL
	admins  []*goredis.Client
}

// newEnv makes one of nodes that have been started.
func newEnv(t locktest.T, masters []*servers.Server, query ...string) *env {
	t.Helper()
	w := &env{masters: masters, ns: locktest.Namespace(), query: url.Values{}}
	w.query.Set("namespace", w.ns)
	for i := 0; i < len(query); i += 2 {
		w.query.Set(query[i], query[i+1])
	}
	for _, s := range masters {
		w.admins = append(w.admins, raw(t, s.Addr()))
	}
	return w
}

// ownEnv has nodes that the test may kill. They keep what they have.
func ownEnv(t locktest.T, n int, query ...string) *env {
	t.Helper()
	return newEnv(t, servers.StartMasters(t, kinds(t, n), durable()), query...)
}

// sharedEnv has nodes that other tests use as well, each its own namespace: what breaks here
// are the ways to them. They keep what they have.
func sharedEnv(t locktest.T, n int, query ...string) *env {
	t.Helper()
	return newEnv(t, servers.SharedMasters(t, kinds(t, 5), durable())[:n], query...)
}

// forgetfulEnv has nodes that the test may kill, and that know nothing afterwards. The list is
// advisory. A node abstains for the longest TTL.
func forgetfulEnv(t locktest.T, n int, longest time.Duration) *env {
	t.Helper()
	return newEnv(t, servers.StartMasters(t, kinds(t, n)), "max_ttl", longest.String())
}

// raw is a plain client, for looking at a server and for breaking things.
func raw(t locktest.T, addr string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *env) addrs() (list []string) {
	for _, s := range w.masters {
		list = append(list, s.Addr())
	}
	return list
}

// url is that of clients that go to these addresses.
func (w *env) url(addrs ...string) string {
	return "redlock://" + strings.Join(addrs, ",") + "?" + w.query.Encode()
}

// open makes a client that goes straight to the nodes.
func (w *env) open(t locktest.T, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, w.url(w.addrs()...), "", ttl)
}

// proxiedClient is a client that has a way of its own to each node, which can be cut.
type proxiedClient struct {
	*fencelock.Client
	links links
	log   *locktest.Log
}

func (w *env) proxied(t locktest.T, ttl time.Duration) *proxiedClient {
	t.Helper()
	p := &proxiedClient{links: w.links(t), log: new(locktest.Log)}
	c, err := fencelock.Open(t.Context(), w.url(p.links.addrs()...), &fencelock.Options{TTL: ttl, Identity: "a party", Logger: p.log.Logger()})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	p.Client = c
	t.Cleanup(func() {
		p.links.each((*proxy.Proxy).Heal) // Close would wait for answers
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if t.Failed() {
			t.Logf("a party's log:\n%s", p.log)
		}
	})
	return p
}

func (w *env) proxiedClients(t locktest.T, n int, ttl time.Duration) []*proxiedClient {
	t.Helper()
	list := make([]*proxiedClient, n)
	for i := range list {
		list[i] = w.proxied(t, ttl)
	}
	return list
}

// links are the ways of one client to the nodes, in their order.
type links []*proxy.Proxy

func (w *env) links(t locktest.T) (all links) {
	t.Helper()
	for _, s := range w.masters {
		all = append(all, locktest.Through(t, s.Addr(), proxy.RESP))
	}
	return all
}

func (l links) addrs() (list []string) {
	for _, p := range l {
		list = append(list, p.Addr())
	}
	return list
}

func (l links) each(do func(*proxy.Proxy)) {
	for _, p := range l {
		do(p)
	}
}

// Names of keys on the nodes.
func (w *env) name(rest string) string { return w.ns + ":redlock:" + rest }

// record is that of a lock on a node; "" if there is none.
func (w *env) record(master int, key string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return w.admins[master].Get(ctx, w.name("l:"+key)).Val()
}

// holding counts the nodes that have the record of a lock.
func (w *env) holding(key string) (n int) {
	for i := range w.masters {
		if w.record(i, key) != "" {
			n++
		}
	}
	return n
}

// awaitEverywhere waits until all nodes have the record of a lease: those that missed it have
// been repaired.
func (w *env) awaitEverywhere(t locktest.T, within time.Duration, l *fencelock.Lease) {
	t.Helper()
	locktest.Eventually(t, within, "all masters have "+l.Key(), func() bool {
		if err := l.Err(); err != nil {
			t.Fatalf("the lease has ended: %v", err)
		}
		return w.holding(l.Key()) == len(w.masters)
	})
}

// awaitFresh waits until all nodes have more than some time left for a lease.
func (w *env) awaitFresh(t locktest.T, within time.Duration, l *fencelock.Lease, least time.Duration) {
	t.Helper()
	locktest.Eventually(t, within, "all masters have "+l.Key()+", renewed", func() bool {
		if err := l.Err(); err != nil {
			t.Fatalf("the lease has ended: %v", err)
		}
		for _, a := range w.admins {
			if a.PTTL(t.Context(), w.name("l:"+l.Key())).Val() < least {
				return false
			}
		}
		return true
	})
}

// home is the node at which the waiters of a key stand.
func (w *env) home(t locktest.T, key string) (found int) {
	t.Helper()
	locktest.Eventually(t, locktest.Soon, "somebody waits for "+key, func() bool {
		for i, a := range w.admins {
			if a.ZCard(t.Context(), w.name("q:"+key)).Val() > 0 {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

// minority is the home of a key, and as many after it as a majority can do without.
func (w *env) minority(t locktest.T, key string) (list []int) {
	t.Helper()
	home := w.home(t, key)
	for i := range len(w.masters) / 2 {
		list = append(list, (home+i)%len(w.masters))
	}
	return list
}

// concurrently does something to several nodes at the same time.
func concurrently(masters []*servers.Server, do func(*servers.Server)) {
	var doing sync.WaitGroup
	for _, s := range masters {
		doing.Go(func() { do(s) })
	}
	doing.Wait()
}

// expectNothingLeft waits for what is cleaned up in the background, and for what ends by itself within
// the time: set-up records stay, counters, and tombstones for a while.
func (w *env) expectNothingLeft(t locktest.T, within ...time.Duration) {
	t.Helper()
	list := func() (names []string) {
		for i, a := range w.admins {
			all, err := a.Keys(t.Context(), w.name("*")).Result()
			if err != nil {
				t.Fatalf("KEYS: %v", err)
			}
			for _, name := range all {
				rest := strings.TrimPrefix(name, w.name(""))
				switch kind, _, _ := strings.Cut(rest, ":"); {
				case rest == "node", rest == "id", rest == "list", kind == "t":
				case kind == "x":
					if life := a.PTTL(t.Context(), name).Val(); life < 0 || life > 2*time.Minute {
						names = append(names, name+" for "+life.String())
					}
				default:
					names = append(names, w.masters[i].Addr()+" "+name)
				}
			}
		}
		return names
	}
	for _, d := range within {
		locktest.Within(d, func() bool { return len(list()) == 0 })
	}
	locktest.ExpectNothingLeft(t, list)
}

func lines(text string) []string { return strings.Split(text, "\n") }

func contains(line string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
