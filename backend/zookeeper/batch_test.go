package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// busy is a backend on whose session as many transactions are under way as may be. What
// comes meanwhile waits, until free is called.
func busy(t *testing.T) (f *fake, b *backend, free func()) {
	t.Helper()
	f = newFake()
	b = on(t, f)
	for _, key := range []string{"k", "l", "m"} { // their nodes are there and known
		g, err := b.Acquire(soon(t), driver.Request{Key: key, AttemptID: "warm", TTL: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		release(t, b, g)
	}
	q, hold := &currentSession(t, b).Batch, make(chan struct{})
	f.mu.Lock()
	f.onMulti = func(ops []any) {
		if c, ok := ops[0].(*zk.CheckVersionRequest); ok && strings.HasPrefix(c.Path, "/none") {
			<-hold
		}
	}
	f.mu.Unlock()
	var held sync.WaitGroup
	for i := range session.InFlight {
		held.Go(func() {
			_, _ = q.Do(t.Context(), fmt.Sprint(i), []any{&zk.CheckVersionRequest{Path: "/none" + fmt.Sprint(i)}})
		})
	}
	eventually(t, "all are under way", func() bool { n, _ := q.Load(); return n == session.InFlight })
	var once sync.Once
	free = func() {
		once.Do(func() { close(hold) })
		held.Wait()
	}
	t.Cleanup(free)
	return f, b, free
}

func currentSession(t *testing.T, b *backend) *session.Session {
	t.Helper()
	s, err := b.pool.For(soon(t), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parked returns when so many parts wait.
func parked(t *testing.T, b *backend, n int) {
	t.Helper()
	q := &currentSession(t, b).Batch
	eventually(t, fmt.Sprintf("%d parts wait", n), func() bool {
		_, waiting := q.Load()
		return waiting == n
	})
}

// together returns what went in one transaction with others, as "create k", "delete k".
func together(f *fake) (all [][]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ops := range f.multis {
		var names []string
		for _, op := range ops {
			switch op := op.(type) {
			case *zk.CreateRequest:
				names = append(names, "create "+strings.Split(op.Path, "/")[2])
			case *zk.DeleteRequest:
				names = append(names, "delete "+strings.Split(op.Path, "/")[2])
			}
		}
		if len(names) > 1 {
			slices.Sort(names)
			all = append(all, names)
		}
	}
	return all
}

// try starts an Acquire that does not wait for a holder.
func try(t *testing.T, ctx context.Context, b *backend, key, id string, wait bool) <-chan driver.Grant {
	t.Helper()
	granted := make(chan driver.Grant, 1)
	go func() {
		defer close(granted)
		if g, err := b.Acquire(ctx, driver.Request{Key: key, AttemptID: id, TTL: 10 * time.Second, Wait: wait}); err == nil {
			granted <- g
		}
	}()
	return granted
}

// TestTogether: creates that come while others are under way go in one transaction, but
// two of one lock never do, since they would have the same token.
func TestTogether(t *testing.T) {
	f, b, free := busy(t)
	var granted []<-chan driver.Grant
	for i, key := range []string{"k", "k", "l", "m"} {
		granted = append(granted, try(t, soon(t), b, key, fmt.Sprint("o", i), true))
		parked(t, b, i+1)
	}
	free()
	k, l, m := get(t, granted[0]), get(t, granted[2]), get(t, granted[3])
	if k.Token != l.Token || l.Token != m.Token {
		t.Errorf("tokens %v, %v, %v: these did not go together", k.Token, l.Token, m.Token)
	}
	release(t, b, k)
	next := get(t, granted[1])
	if next.Token <= k.Token {
		t.Errorf("token %v was granted after %v", next.Token, k.Token)
	}
	for _, g := range []driver.Grant{next, l, m} { // each has learned of its own node
		release(t, b, g)
	}
	if left := claimsLeft(f); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if got, want := together(f), [][]string{{"create k", "create l", "create m"}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("went together: %q, want %q", got, want)
	}
}

// TestRefusedTogether: of parts that go together one is refused, and with it all. That
// harms nobody else.
func TestRefusedTogether(t *testing.T) {
	f, b, free := busy(t)
	gone := driver.Grant{}
	for g := range try(t, soon(t), b, "fresh", "gone", false) { // whose node is not known: it goes by itself, at once
		gone = g
	}
	f.mu.Lock()
	for name := range f.nodes {
		if strings.HasPrefix(name, "/ns/fresh/") {
			delete(f.nodes, name) // by an operator, and nobody is told
		}
	}
	f.mu.Unlock()
	released := make(chan error, 1)
	go func() { released <- b.Release(soon(t), gone) }()
	parked(t, b, 1)
	k, l := try(t, soon(t), b, "k", "a", true), try(t, soon(t), b, "l", "b", true)
	parked(t, b, 3)
	containers := f.count("createContainer")
	free()
	if err := <-released; !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Release = %v, want ErrNotHeld", err)
	}
	release(t, b, get(t, k))
	release(t, b, get(t, l))
	if n := f.count("createContainer") - containers; n != 0 {
		t.Errorf("%d took the other's error for their own, that a node is missing", n)
	}
	if got := together(f); len(got) != 1 || !slices.Contains(got[0], "delete fresh") || len(got[0]) != 3 {
		t.Errorf("went together: %q, want the three", got)
	}
	if left := claimsLeft(f); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestLostTogether: the answer to a transaction is lost for all in it, and each finds
// its node again.
func TestLostTogether(t *testing.T) {
	f, b, free := busy(t)
	var granted []<-chan driver.Grant
	for i, key := range []string{"k", "l", "m"} {
		granted = append(granted, try(t, soon(t), b, key, "a", true))
		parked(t, b, i+1)
	}
	f.mu.Lock()
	f.unanswered["create"] = 1
	f.mu.Unlock()
	free()
	for i, key := range []string{"k", "l", "m"} {
		if g, ok := <-granted[i]; ok {
			t.Fatalf("%s was granted by %v without an answer", key, g.Token)
		}
		req := driver.Request{Key: key, AttemptID: "a", TTL: 10 * time.Second, Wait: true, Retry: true}
		g, err := b.Acquire(soon(t), req)
		if err != nil {
			t.Fatalf("Acquire again: %v", err)
		}
		f.mu.Lock()
		if n := len(f.children("/ns/" + key)); n != 1 {
			t.Errorf("%d nodes in %s", n, key)
		}
		f.mu.Unlock()
		release(t, b, g)
	}
}

// TestCancelledWhileItWaits: an attempt that is cancelled while its create waits for
// others leaves nothing, whether it is released before the create is sent or after.
func TestCancelledWhileItWaits(t *testing.T) {
	for _, before := range []bool{true, false} {
		f, b, free := busy(t)
		ctx, cancel := context.WithCancel(soon(t))
		granted := try(t, ctx, b, "k", "a", true)
		parked(t, b, 1)
		cancel()
		if g, ok := <-granted; ok {
			t.Fatalf("granted %v without an answer", g.Token)
		}
		released := make(chan error, 1)
		end := func() { released <- b.Release(soon(t), driver.Grant{Key: "k", AttemptID: "a"}) }
		if before {
			go end()
			eventually(t, "the claim is to leave", func() bool {
				b.mu.Lock()
				defer b.mu.Unlock()
				a := b.ledger.Find(attempts.ID{Key: "k", AttemptID: "a"})
				return a != nil && a.Phase() == attempts.Ending
			})
			free()
		} else {
			free()
			end()
		}
		if err := <-released; !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Release = %v, want ErrNotHeld", err)
		}
		if left := claimsLeft(f); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func claimsLeft(f *fake) (names []string) {
	for _, name := range f.under("/ns") {
		if strings.Contains(name, "#") {
			names = append(names, name)
		}
	}
	return names
}
