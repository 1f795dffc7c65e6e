package zookeeper_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// listHeld returns what all pages have, in order.
func listHeld(t *testing.T, b driver.Backend, prefix string, limit int) (held []driver.Status) {
	t.Helper()
	for cursor := ""; ; {
		page, err := b.ListHeld(t.Context(), prefix, cursor, limit)
		if err != nil {
			t.Fatalf("ListHeld: %v", err)
		}
		if len(page.Locks) > limit {
			t.Errorf("a page has %d locks, want %d at the most", len(page.Locks), limit)
		}
		held = append(held, page.Locks...)
		if cursor = page.Next; cursor == "" {
			return held
		}
	}
}

func keysOf(held []driver.Status) (keys []string) {
	for _, st := range held {
		keys = append(keys, st.Key)
	}
	return keys
}

// TestListHeld lists the locks of two clients, page by page, with what their holders have said.
// Locks that are free, nodes that are not ours and other namespaces are not in it.
func TestListHeld(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.ZooKeepers() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			clients := []driver.Backend{dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)}
			operator, elsewhere := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns+"2")
			hold := func(b driver.Backend, key, id string, wait bool) (driver.Grant, error) {
				return b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: id, Identity: "who", Meta: "what", TTL: 20 * time.Second, Wait: wait})
			}
			want := []string{".", "..", "*", "a%2Fb", "a/é", "a/ b", "a/b/c", "b"}
			for i := range 50 {
				want = append(want, fmt.Sprintf("many/%02d", i))
			}
			tokens := make(map[string]driver.Grant)
			for i, key := range want {
				g, err := hold(clients[i%2], key, "o", false)
				if err != nil {
					t.Fatalf("Acquire of %q: %v", key, err)
				}
				tokens[key] = g
			}
			slices.Sort(want)
			free, err := hold(clients[0], "a/free", "o", false)
			if err != nil {
				t.Fatal(err)
			}
			release(t, clients[0], free)
			if _, err := hold(elsewhere, "a/elsewhere", "o", false); err != nil {
				t.Fatal(err)
			}
			server := raw(t, s.Addr())
			for _, foreign := range []string{"a%zz", "a%41", "%ff"} {
				if _, err := server.Create("/"+ns+"/"+foreign, nil, zk.FlagPersistent, zk.WorldACL(zk.PermAll)); err != nil {
					t.Fatal(err)
				}
			}
			for _, limit := range []int{1, 7, 1000} {
				held := listHeld(t, operator, "", limit)
				if got := keysOf(held); !slices.Equal(got, want) {
					t.Errorf("pages of %d: %q, want %q", limit, got, want)
				}
				for _, st := range held {
					h := st.Holders[0]
					if h.AttemptID != "o" || h.Identity != "who" || h.Meta != "what" || h.Token != tokens[st.Key].Token || h.Left <= 0 || st.Waiters != -1 {
						t.Errorf("%+v, want the holder that has token %v", st, tokens[st.Key].Token)
					}
				}
			}
			if got := keysOf(listHeld(t, operator, "a/", 2)); !slices.Equal(got, []string{"a/ b", "a/b/c", "a/é"}) {
				t.Errorf("below a/: %q", got)
			}
			if got := keysOf(listHeld(t, operator, "*", 10)); !slices.Equal(got, []string{"*"}) {
				t.Errorf("below *: %q", got)
			}
		})
	}
}

// TestListHeldOfMany: a namespace whose list of nodes is longer than jute.maxbuffer is listed all
// the same, and beside it a lease with a short TTL is renewed in time. The server is its own, since
// others would wait for it.
func TestListHeldOfMany(t *testing.T) {
	t.Parallel()
	const nodes, each = 4_000, 100
	s, ns := servers.Start(t, servers.ZooKeeper), locktest.Namespace()
	b := dial(t, s.Addr(), ns)
	server := raw(t, s.Addr())
	padding := strings.Repeat("n", 300)
	var creating sync.WaitGroup
	for from := 0; from < nodes; from += each {
		creating.Go(func() {
			var ops []any
			for i := from; i < from+each; i++ {
				// Persistent ones, which nobody sweeps while we look.
				ops = append(ops, &zk.CreateRequest{Path: parentOf(ns, fmt.Sprintf("%s%06d", padding, i)), Acl: zk.WorldACL(zk.PermAll)})
			}
			if _, err := server.Multi(ops...); err != nil {
				t.Errorf("making nodes: %v", err)
			}
		})
	}
	creating.Wait()
	var want []string
	for i := 0; i < nodes; i += nodes / 20 {
		want = append(want, fmt.Sprintf("%s%06d", padding, i))
	}
	for _, key := range want {
		if _, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "o", TTL: 50 * time.Second}); err != nil {
			t.Fatalf("Acquire: %v", err)
		}
	}
	short, err := b.Acquire(t.Context(), driver.Request{Key: "short", AttemptID: "o", TTL: 3 * time.Second})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	stop := make(chan struct{})
	var renewing sync.WaitGroup
	slowest := time.Duration(0)
	renewing.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			began := time.Now()
			if err := b.Renew(t.Context(), []driver.Grant{short})[0].Err; err != nil {
				t.Errorf("Renew beside ListHeld: %v", err)
				return
			}
			slowest = max(slowest, time.Since(began))
		}
	})
	began := time.Now()
	got := keysOf(listHeld(t, b, padding, 256))
	took := time.Since(began)
	close(stop)
	renewing.Wait()
	t.Logf("%d nodes listed in %v; the slowest renewal meanwhile took %v", nodes, took, slowest)
	if !slices.Equal(got, want) {
		t.Errorf("%d locks are listed, want %d", len(got), len(want))
	}
}

// TestListHeldBesideChurn: what is held throughout is on some page, whatever comes and goes
// meanwhile.
func TestListHeldBesideChurn(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	b, operator := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)
	var want []string
	for i := range 40 {
		key := fmt.Sprintf("k%02d", i)
		want = append(want, key)
		if _, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "o", TTL: 50 * time.Second}); err != nil {
			t.Fatalf("Acquire: %v", err)
		}
	}
	stop := make(chan struct{})
	var churning sync.WaitGroup
	for w := range 4 {
		churning.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				req := driver.Request{Key: fmt.Sprintf("k%02dchurn", i%40), AttemptID: fmt.Sprintf("w%d-%d", w, i), TTL: 20 * time.Second, Wait: true}
				g, err := b.Acquire(t.Context(), req)
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				release(t, b, g)
			}
		})
	}
	for range 20 {
		got := slices.DeleteFunc(keysOf(listHeld(t, operator, "", 5)), func(key string) bool { return strings.HasSuffix(key, "churn") })
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	close(stop)
	churning.Wait()
}

// TestListHeldForbidden: of a lock that we may not look at nobody can tell whether it is held. It
// is not left out without a word.
func TestListHeldForbidden(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	open, err := openAs(t, "", "zookeeper://"+s.Addr()+"?namespace="+ns)
	if err != nil {
		t.Fatal(err)
	}
	ann, err := openAs(t, "ann", "zookeeper://"+s.Addr()+"?namespace="+ns)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ann.Acquire(t.Context(), driver.Request{Key: "ann's", AttemptID: "o", TTL: 20 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if got := keysOf(listHeld(t, ann, "", 10)); !slices.Equal(got, []string{"ann's"}) {
		t.Errorf("ann sees %q", got)
	}
	_, err = open.ListHeld(t.Context(), "", "", 10)
	expectRefused(t, "ListHeld of another's lock", err, false, url.PathEscape("ann's"))
	if _, err := open.ListHeld(t.Context(), "others/", "", 10); err != nil {
		t.Errorf("ListHeld of another prefix: %v", err)
	}
}

// TestEvictOneAttempt ends the grant of the attempt that is named, and no other's: not that of a
// waiter, nor of who has the lock by then.
func TestEvictOneAttempt(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	b, operator := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)
	lost := make(chan error, 4)
	g, err := b.Acquire(t.Context(), driver.Request{
		Key: "k", AttemptID: "holder", TTL: 50 * time.Second, Lost: func(why error) { lost <- why },
	})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	if out := b.Renew(t.Context(), []driver.Grant{g}); out[0].Err != nil { // sets the watch
		t.Fatalf("Renew: %v", out[0].Err)
	}
	next := make(chan driver.Grant, 1)
	go func() {
		if g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "waiter", TTL: 50 * time.Second, Wait: true}); err == nil {
			next <- g
		}
	}()
	locktest.Eventually(t, soon, "one waits", func() bool {
		st, err := operator.Inspect(t.Context(), "k")
		return err == nil && st.Waiters == 1
	})
	for _, other := range []string{"waiter", "hold", "holder0"} {
		if err := operator.Evict(t.Context(), "k", other); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Evict of %q = %v, want ErrNotHeld", other, err)
		}
	}
	if err := operator.Evict(t.Context(), "k", "holder"); err != nil {
		t.Fatalf("Evict: %v", err)
	}
	select {
	case why := <-lost:
		t.Logf("lost: %v", why)
	case <-time.After(soon):
		t.Error("Request.Lost was not called")
	}
	var second driver.Grant
	select {
	case second = <-next:
	case <-time.After(soon):
		t.Fatal("the waiter was not granted the lock")
	}
	if err := operator.Evict(t.Context(), "k", "holder"); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Evict once more = %v, want ErrNotHeld", err)
	}
	if out := b.Renew(t.Context(), []driver.Grant{g, second}); !errors.Is(out[0].Err, driver.ErrNotHeld) || out[1].Err != nil {
		t.Errorf("Renew = %v and %v, want ErrNotHeld and nil", out[0].Err, out[1].Err)
	}
	release(t, b, second)
}
