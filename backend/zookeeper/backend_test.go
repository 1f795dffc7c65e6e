package zookeeper

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

func request(id string, wait bool) driver.Request {
	return driver.Request{Key: "k", AttemptID: id, TTL: 10 * time.Second, Wait: wait}
}

func acquire(t *testing.T, b *backend, id string) driver.Grant {
	t.Helper()
	g, err := b.Acquire(soon(t), request(id, true))
	if err != nil {
		t.Fatalf("Acquire for %s: %v", id, err)
	}
	return g
}

func release(t *testing.T, b *backend, g driver.Grant) {
	t.Helper()
	if err := b.Release(soon(t), g); err != nil {
		t.Errorf("Release of %s: %v", g.AttemptID, err)
	}
}

// enqueue starts a waiter, and returns when it stands in the queue.
func enqueue(t *testing.T, b *backend, id string, place int) <-chan driver.Grant {
	t.Helper()
	granted := make(chan driver.Grant, 1)
	go func() {
		if g, err := b.Acquire(soon(t), request(id, true)); err == nil {
			granted <- g
		}
	}()
	eventually(t, id+" waits", func() bool {
		st, err := b.Inspect(soon(t), "k")
		return err == nil && st.Waiters == place
	})
	return granted
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

func get(t *testing.T, c <-chan driver.Grant) driver.Grant {
	t.Helper()
	select {
	case g := <-c:
		return g
	case <-soon(t).Done():
		t.Fatal("a waiter was not granted the lock")
		return driver.Grant{}
	}
}

// TestWithoutContainers: on an old server a lock leaves no node behind either.
func TestWithoutContainers(t *testing.T) {
	f := newFake()
	f.containers = false
	b := on(t, f)
	for range 3 {
		g := acquire(t, b, "a")
		w := enqueue(t, b, "b", 1)
		release(t, b, g)
		release(t, b, get(t, w))
		if left := f.under("/ns"); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		b.mu.Lock()
		b.ledger = attempts.Ledger[*attempt]{} // the names come again, which they do not elsewhere
		b.mu.Unlock()
	}
	if n := f.calls["createContainer"]; n != 1 {
		t.Errorf("the server was asked for a container %d times", n)
	}
}

// TestHandOff: who gets the lock from a holder asks the server for nothing. After a brief hold, before
// which nobody waited, the first waiter lists the queue.
func TestHandOff(t *testing.T) {
	for _, hold := range []time.Duration{0, brief} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			b := on(t, f)
			g := acquire(t, b, "a")
			w := enqueue(t, b, "w0", 1)
			time.Sleep(hold)
			// Look may set watches for the holder meanwhile.
			requests := func() int { return f.total() - f.count("watch") }
			for i := range 5 {
				next := enqueue(t, b, "w"+strconv.Itoa(i+1), 2)
				synctest.Wait() // it watches the one ahead
				before := requests()
				release(t, b, g)
				g = get(t, w)
				want := 1
				if i == 0 && hold == 0 {
					want = 2
				}
				if calls := requests() - before; calls != want {
					t.Errorf("held for %v: hand-off %d took %d requests, want %d", hold, i, calls, want)
				}
				w = next
			}
			release(t, b, g)
			release(t, b, get(t, w))
		})
	}
}

// TestLeaverHandsNothingOver: a predecessor that gives up, or whose node somebody
// deletes, makes nobody the first.
func TestLeaverHandsNothingOver(t *testing.T) {
	f := newFake()
	b := on(t, f)
	g := acquire(t, b, "a")
	var waiters []<-chan driver.Grant
	for i := range 4 {
		waiters = append(waiters, enqueue(t, b, "w"+strconv.Itoa(i), i+1))
	}
	lists := f.count("children")
	if err := b.Release(soon(t), driver.Grant{Key: "k", AttemptID: "w0"}); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Release of a waiter = %v, want ErrNotHeld", err)
	}
	if err := f.Delete("/ns/k/w2#+0000000003", -1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "those behind them have listed the queue", func() bool { return f.count("children") >= lists+2 })
	for i, w := range waiters {
		if len(w) > 0 {
			t.Fatalf("waiter %d holds the lock beside %s", i, g.AttemptID)
		}
	}
	release(t, b, g)
	release(t, b, get(t, waiters[1]))
	release(t, b, get(t, waiters[3]))
}

// TestLostAnswers: each request may be carried out without an answer, at any time,
// and nothing is left of the attempt that was told so.
func TestLostAnswers(t *testing.T) { loseAnswers(t, newFake) }

func TestLostAnswersAtTheEnd(t *testing.T) {
	for what, from := range ends {
		t.Run(what, func(t *testing.T) { loseAnswers(t, func() *fake { return atTheEnd(t, from) }) })
	}
}

func loseAnswers(t *testing.T, newFake func() *fake) {
	for _, op := range []string{"create", "createContainer", "children", "exists", "watch", "get", "multi", "sync", "delete"} {
		for n := 1; n <= 3; n++ {
			f := newFake()
			b := on(t, f)
			f.mu.Lock()
			f.unanswered[op] = n
			f.mu.Unlock()
			req := request("a", true)
			var g driver.Grant
			eventually(t, "the lock is granted", func() (ok bool) {
				var err error
				g, err = b.Acquire(soon(t), req)
				req.Retry = true
				if err != nil && !errors.Is(err, driver.ErrUnavailable) {
					t.Fatalf("%d × %s: Acquire = %v", n, op, err)
				}
				return err == nil
			})
			release(t, b, g)
			f.mu.Lock()
			f.unanswered[op] = 0
			if left := parseAll(f.children("/ns/k")); len(left) > 0 {
				t.Errorf("%d × %s: left behind: %+v", n, op, left)
			}
			f.mu.Unlock()
			_ = b.Close()
		}
	}
}

// TestNodeOfAnotherSession: a node with our name that is not of our session is not
// ours: it goes when that session does.
func TestNodeOfAnotherSession(t *testing.T) {
	f := newFake()
	b := on(t, f)
	f.mu.Lock()
	f.unanswered["create"] = 0
	if _, err := f.create("/ns/k", nil, zk.FlagContainer); err != nil {
		t.Fatal(err)
	}
	if _, err := f.create("/ns/k/a#+", nil, zk.FlagEphemeralSequential); err != nil {
		t.Fatal(err)
	}
	f.unanswered["create"] = 1
	f.mu.Unlock()
	req := request("a", true)
	if _, err := b.Acquire(soon(t), req); !errors.Is(err, driver.ErrUnavailable) {
		t.Fatalf("Acquire = %v, want ErrUnavailable", err)
	}
	f.mu.Lock()
	own := f.nodes["/ns/k/a#+0000000001"]
	f.mu.Unlock()
	req.Retry = true
	granted := make(chan driver.Grant, 1)
	go func() {
		if g, err := b.Acquire(soon(t), req); err == nil {
			granted <- g
		}
	}()
	eventually(t, "the node of the other session is waited for", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.watches["/ns/k/a#+0000000000"]) > 0
	})
	if err := f.Delete("/ns/k/a#+0000000000", -1); err != nil {
		t.Fatal(err)
	}
	if g := get(t, granted); int64(g.Token) != own.czxid {
		t.Errorf("token %v, want that of our own node, %d", g.Token, own.czxid)
	}
}

// TestSessionExpires: its holder is told, and the next lock is in another session.
func TestSessionExpires(t *testing.T) {
	f := newFake()
	b := on(t, f)
	lost := make(chan error, 1)
	req := request("a", false)
	req.Lost = func(why error) {
		select {
		case lost <- why:
		default:
		}
	}
	g, err := b.Acquire(soon(t), req)
	if err != nil {
		t.Fatal(err)
	}
	f.expire()
	if out := b.Renew(soon(t), []driver.Grant{g}); !errors.Is(out[0].Err, driver.ErrNotHeld) {
		t.Errorf("Renew = %v, want ErrNotHeld", out[0].Err)
	}
	select {
	case why := <-lost:
		t.Logf("lost: %v", why)
	case <-soon(t).Done():
		t.Errorf("Request.Lost was not called")
	}
	release(t, b, acquire(t, b, "b"))
}

// TestReleaseAgain: a Release that has had no answer, and each that comes because of that, ends the
// same grant, also when Look has deleted the node meanwhile. The next finds nothing.
func TestReleaseAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := on(t, f)
		g, err := b.Acquire(t.Context(), request("a", true))
		if err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		f.onMulti = func([]any) { time.Sleep(5 * time.Second) }
		f.mu.Unlock()
		if err := b.Release(t.Context(), g); !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrNotHeld) {
			t.Fatalf("Release = %v, want that it had no answer", err)
		}
		time.Sleep(10 * time.Second)
		if left := claimsLeft(f); len(left) > 0 {
			t.Fatalf("left behind: %q", left)
		}
		if err := b.Release(t.Context(), g); err != nil {
			t.Errorf("Release again = %v, want nil: it has ended the grant", err)
		}
		if err := b.Release(t.Context(), g); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Release of what was released = %v, want ErrNotHeld", err)
		}
	})
}
