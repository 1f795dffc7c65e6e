package zookeeper

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// TestRefused: what the server refuses is told at once, leaves nothing behind, and harms
// nobody; when it is allowed again, all is well.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, why := range []error{zk.ErrNoAuth, zk.ErrInvalidACL, errors.New("unknown error: -125"), errors.New("unknown error: -127")} {
			f := newFake()
			b := on(t, f)
			creates, deletes := true, true
			f.refuse = func(op any) error {
				switch op.(type) {
				case *zk.CreateRequest:
					if !creates {
						return why
					}
				case *zk.DeleteRequest:
					if !deletes {
						return why
					}
				}
				return nil
			}
			allow := func(c, d bool) {
				f.mu.Lock()
				defer f.mu.Unlock()
				creates, deletes = c, d
			}
			use(t, b, "k")
			allow(false, true)
			began := time.Now()
			_, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "no", TTL: 10 * time.Second, Wait: true})
			if !errors.Is(err, driver.ErrRefused) || !errors.Is(err, why) || time.Since(began) > 0 {
				t.Errorf("%v: Acquire = %v after %v, want ErrRefused at once", why, err, time.Since(began))
			}
			if err := b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "no"}); !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("%v: Release of it = %v", why, err)
			}
			allow(true, true)
			held, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "yes", TTL: 10 * time.Second, Wait: true})
			if err != nil {
				t.Fatal(err)
			}
			allow(true, false)
			for range 2 { // nothing was done, the second time neither
				if err := b.Release(t.Context(), held); !errors.Is(err, driver.ErrRefused) || !errors.Is(err, why) {
					t.Errorf("%v: Release = %v, want ErrRefused", why, err)
				}
			}
			tries := f.count("multi")
			if err := b.Evict(t.Context(), "k", ""); !errors.Is(err, driver.ErrRefused) {
				t.Errorf("%v: Evict = %v, want ErrRefused", why, err)
			}
			time.Sleep(refusedAgain / 2)
			if n := f.count("multi") - tries; session.Lasting(why) && n > 3 {
				t.Errorf("%v: tried %d times to delete what it may not", why, n)
			}
			allow(true, true)
			time.Sleep(refusedAgain)
			if left := claimsLeft(f); len(left) > 0 {
				t.Errorf("%v: left behind: %q", why, left)
			}
			_ = b.Close()
		}
	})
}

// TestRefusalAfterSilence: a deletion whose answer was lost may have been carried out, so what
// the next is told says nothing about it.
func TestRefusalAfterSilence(t *testing.T) {
	f := newFake()
	b := on(t, f)
	g := acquire(t, b, "a")
	f.mu.Lock()
	f.unanswered["multi"] = 1
	f.onMulti = func([]any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.unanswered["multi"] == 0 {
			f.refuse = func(any) error { return zk.ErrNoAuth }
		}
	}
	f.mu.Unlock()
	err := b.Release(soon(t), g)
	if errors.Is(err, driver.ErrRefused) || errors.Is(err, driver.ErrNotHeld) || !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("Release = %v, want that it leaves open what was done", err)
	}
}

// TestLocalSession: a server that takes our session for expired, and serves it, is told from
// one whose session has expired.
func TestLocalSession(t *testing.T) {
	f := newFake()
	b := on(t, f)
	f.mu.Lock()
	f.refuse = func(op any) error { return zk.ErrSessionExpired }
	f.mu.Unlock()
	_, err := b.Acquire(soon(t), request("a", true))
	if !errors.Is(err, driver.ErrRefused) || errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "localSessions") {
		t.Errorf("Acquire = %v", err)
	}
	f.expire()
	if _, err = b.Acquire(soon(t), request("b", true)); errors.Is(err, driver.ErrRefused) && !f.refusesAll() {
		t.Errorf("Acquire = %v", err)
	}
}

func (f *fake) refusesAll() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refuse != nil
}

// TestCloseLeaksNoContext: a call that Close ends has no error of a context, since no context
// of its caller has ended.
func TestCloseLeaksNoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := on(t, f)
		g, err := b.Acquire(t.Context(), request("holder", true))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 3)
		go func() {
			_, err := b.Acquire(t.Context(), request("waiter", true))
			ended <- err
		}()
		synctest.Wait()
		f.mu.Lock()
		f.onMulti = func([]any) { time.Sleep(time.Minute) }
		f.mu.Unlock()
		go func() { ended <- b.Renew(t.Context(), []driver.Grant{g})[0].Err }()
		go func() { ended <- b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "waiter"}) }()
		time.Sleep(time.Second)
		began := time.Now()
		_ = b.Close()
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		for range 3 {
			if err := <-ended; !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, driver.ErrReleased) || errors.Is(err, context.Canceled) ||
				errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call under way ended with %v", err)
			}
		}
		time.Sleep(2 * time.Minute)
	})
}
