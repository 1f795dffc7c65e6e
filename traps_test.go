package fencelock_test

// The traps that other lock libraries fell into, one test each; the names say
// whose issue it was. Those that only show on a server are rules of drivertest.

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// Trap 1 (etcd#9715, go-zookeeper#229): the reply to an acquire is lost. The lock
// must come to the caller, or be freed; never stay behind.
func TestTrap01LostReplyLeavesNoOrphan(t *testing.T) {
	for name, always := range map[string]bool{"once": false, "always": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				c := open(t, f, nil)
				f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
					if !always {
						f.onAcquire(nil)
					}
					_, _ = f.Backend.Acquire(ctx, req) // granted, and nobody is told
					return driver.Grant{}, driver.ErrUnavailable
				})
				began := time.Now()
				l, err := c.Lock(t.Context(), "k")
				if always {
					if !errors.Is(err, fencelock.ErrUnavailable) {
						t.Errorf("Lock: %v, want ErrUnavailable", err)
					}
					if took := time.Since(began); took < 15*second || took > 17*second {
						t.Errorf("Lock gave up after %v, want a TTL", took)
					}
				} else {
					if err != nil {
						t.Fatalf("Lock after one lost reply: %v", err)
					}
					unlock(t, l)
				}
				synctest.Wait()
				free(t, c, "k")
				if attempts := f.attempts(); len(attempts) != 1 {
					t.Errorf("%d attempts for one Lock, want 1: a retry must be known as one", len(attempts))
				}
			})
		})
	}
}

// Trap 1, for a caller that gives up while its request is under way.
func TestTrap01CancelledAcquireLeavesNoOrphan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		ctx, cancel := context.WithCancel(t.Context())
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			_, _ = f.Backend.Acquire(ctx, req)
			cancel()
			return driver.Grant{}, ctx.Err()
		})
		for _, acquire := range []func(context.Context, string, ...fencelock.LockOption) (*fencelock.Lease, error){c.Lock, c.TryLock} {
			if _, err := acquire(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("err %v, want context.Canceled", err)
			}
			synctest.Wait()
			free(t, c, "k")
		}
	})
}

// Trap 1, when the clean-up does not reach the server at first: it goes on until
// the server confirms.
func TestTrap01CleanUpPersists(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		ctx, cancel := context.WithCancel(t.Context())
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			f.onAcquire(nil)
			_, _ = f.Backend.Acquire(ctx, req)
			cancel()
			return driver.Grant{}, ctx.Err()
		})
		f.onRelease(func(context.Context, driver.Grant) error { return driver.ErrUnavailable })
		if _, err := c.Lock(ctx, "k"); !errors.Is(err, context.Canceled) {
			t.Errorf("Lock: %v", err)
		}
		time.Sleep(5 * second)
		if _, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock: %v; nothing was to clean up", err)
		}
		f.onRelease(nil)
		time.Sleep(second) // its pauses are a sixteenth of the TTL at most
		unlock(t, lock(t, c, "k"))
		if tries := f.releases.Load(); tries > 40 {
			t.Errorf("%d releases were sent in 6 s", tries)
		}
	})
}

// Trap 2 (go-redis#2985): a retry that finds its own lock must not call it
// another's. TryLock asks a second time as the same attempt.
func TestTrap02RetryIsNotAnotherHolder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			f.onAcquire(nil)
			_, _ = f.Backend.Acquire(ctx, req)
			return driver.Grant{}, driver.ErrUnavailable
		})
		l, err := c.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatalf("TryLock after one lost reply: %v", err)
		}
		if !f.requests[1].Retry || f.requests[0].Retry {
			t.Error("the backend was not told which request is a retry")
		}
		unlock(t, l)
	})
}

// Trap 3 (etcd#22082, redsync#168): a release frees its own grant only. A holder
// that lost the lock unlocks late.
func TestTrap03LateUnlockSparesTheNextHolder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		a, b := open(t, f, nil), open(t, mem.New(space), nil)
		f.onRenew(unreachable)
		old := lock(t, a, "k")
		l := lock(t, b, "k") // waits until the lease of old has ended on the server
		if err := old.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("late Unlock: %v, want ErrLost", err)
		}
		synctest.Wait()
		if _, err := a.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock after another's late Unlock: %v, want ErrHeld", err)
		}
		unlock(t, l)
	})
}

// Trap 4 (openbao#2100, redsync#149): a renewal never takes a lock back. A gap is
// a loss, and is reported.
func TestTrap04GapIsALoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k")
		s, _ := c.Inspect(t.Context(), "k")
		// Gone on the server, by a hand that tells nobody.
		if err := f.Backend.Release(t.Context(), driver.Grant{Key: "k", AttemptID: s.Holders[0].AttemptID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * second) // one renewal
		if err := l.Err(); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Err after the lock was deleted: %v, want ErrLost", err)
		}
		free(t, c, "k")
	})
}

// Trap 5 (consul#18271, rueidislock): the holder must not believe longer than the
// server. The lease ends before the server lets anybody in, with renewals that
// fail and with renewals that hang.
func TestTrap05HolderStopsFirst(t *testing.T) {
	for name, renew := range map[string]func(context.Context, []driver.Grant) []driver.Renewal{
		"failing": unreachable, "hanging": hanging,
		"deaf": func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			time.Sleep(time.Hour) // ignores its context: nothing can delay the deadline
			return unreachable(ctx, g)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				t.Cleanup(func() { time.Sleep(time.Hour) }) // the deaf outlives Close
				space := mem.NewSpace()
				f := newFaulty(space)
				a, b := open(t, f, nil), open(t, mem.New(space), nil)
				f.onRenew(renew)
				began := time.Now()
				l := lock(t, a, "k")
				work := l.Context(t.Context())
				next := lock(t, b, "k")
				if took := time.Since(began); took < 15*second {
					t.Errorf("the server let another in after %v", took)
				}
				select {
				case <-l.Done():
				default:
					t.Fatal("two holders: the first lease stands")
				}
				if work.Err() == nil || !errors.Is(context.Cause(work), fencelock.ErrLost) {
					t.Errorf("the work's context: %v, cause %v", work.Err(), context.Cause(work))
				}
				unlock(t, next)
			})
		})
	}
}

// The exact moment: nine tenths of the TTL after the request was sent, however
// long its reply took.
func TestTrap05DeadlineCountsFromTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			g, err := f.Backend.Acquire(ctx, req)
			time.Sleep(3 * second) // the reply is slow
			return g, err
		})
		f.onRenew(unreachable)
		sent := time.Now()
		l := lock(t, c, "k")
		<-l.Done()
		if ended := time.Since(sent); ended != 13500*time.Millisecond {
			t.Errorf("the lease ended %v after the request, want 13.5s", ended)
		}
		_ = l.Unlock(t.Context())
	})
}

// A reply so late that its grant cannot be trusted is given back, and the lock is
// asked for under a new name.
func TestTrap05GrantThatComesTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			f.onAcquire(nil)
			g, err := f.Backend.Acquire(ctx, req)
			time.Sleep(14 * second)
			return g, err
		})
		l := lock(t, c, "k")
		if left := time.Until(l.ValidUntil()); left < 13*second {
			t.Errorf("a lease with %v left was handed out", left)
		}
		if attempts := f.attempts(); len(attempts) != 2 {
			t.Errorf("%d attempts, want 2", len(attempts))
		}
		unlock(t, l)
		synctest.Wait()
		free(t, c, "k")
	})
}

// Trap 6 (vitess#11811, pglock#175): the context of Lock bounds the wait only.
func TestTrap06LockContextDoesNotEndTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, mem.New(mem.NewSpace()), nil)
		ctx, cancel := context.WithTimeout(t.Context(), second)
		l, err := c.Lock(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		time.Sleep(time.Minute)
		if l.Err() != nil {
			t.Errorf("the lease ended with the context of Lock: %v", l.Err())
		}
		unlock(t, l)
	})
}

// Trap 7 (blnk#355, ncps#913): Unlock with a dead context frees the lock.
func TestTrap07UnlockWithDeadContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, mem.New(mem.NewSpace()), nil)
		l := lock(t, c, "k")
		if err := l.Unlock(dead()); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		free(t, c, "k")
	})
}

// … and does not wait for ever for a server that is silent (etcd#18082).
func TestTrap07UnlockIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		c, other := open(t, f, nil), open(t, mem.New(space), nil)
		l := lock(t, c, "k")
		f.onRelease(func(ctx context.Context, _ driver.Grant) error { <-ctx.Done(); return ctx.Err() })
		began := time.Now()
		if err := l.Unlock(dead()); !errors.Is(err, fencelock.ErrUnknown) {
			t.Errorf("Unlock of a silent server: %v, want ErrUnknown", err)
		}
		if took := time.Since(began); took > 3*second {
			t.Errorf("Unlock with a dead context took %v", took)
		}
		if !errors.Is(l.Err(), fencelock.ErrUnlocked) {
			t.Errorf("Err: %v, want ErrUnlocked: a failed release does not let renewal go on", l.Err())
		}
		// The server is back: the janitor frees the lock long before its TTL ends.
		f.onRelease(nil)
		unlock(t, lock(t, other, "k"))
		if waited := time.Since(began); waited > 8*second {
			t.Errorf("the lock was free after %v", waited)
		}
		if err := l.Unlock(t.Context()); err != nil && !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock again: %v", err)
		}
	})
}

// Trap 8 (etcd#11456) is a rule of drivertest, GrantIsAlive. Here: no lease is
// handed out whose time is over.

// Trap 9 (rueidis#602 and others, libkv#186): a cancelled waiter that was just
// being handed the turn passes it on, whichever comes first.
func TestTrap09CancelledTurnIsPassedOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		c, other := open(t, mem.New(space), nil), open(t, mem.New(space), nil)
		for round := range 300 {
			l := lock(t, other, "k")
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 5 {
				wg.Go(func() {
					wait := t.Context()
					if i < 3 {
						wait = ctx
					}
					if l, err := c.Lock(wait, "k"); err == nil {
						unlock(t, l)
					} else if i >= 3 {
						t.Errorf("round %d: a waiter that was not cancelled got %v", round, err)
					}
				})
			}
			synctest.Wait()
			wg.Go(cancel)
			wg.Go(func() { unlock(t, l) })
			wg.Wait()
			synctest.Wait()
			free(t, c, "k")
		}
	})
}

// Trap 10 (consul#2371): after a loss has been told, nothing renews the lock, so
// that somebody else can get it.
func TestTrap10NoRenewalAfterLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		a, b := open(t, f, nil), open(t, mem.New(space), nil)
		f.onRenew(unreachable)
		l := lock(t, a, "k")
		<-l.Done()
		f.onRenew(nil) // the server can be reached again, just too late
		began := time.Now()
		unlock(t, lock(t, b, "k"))
		if waited := time.Since(began); waited > 2*second {
			t.Errorf("the lost lock was free after %v more, want the last tenth of its TTL", waited)
		}
		if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock: %v, want ErrLost", err)
		}
	})
}

// Trap 11 (consul#912, pglock#40; lockgate): one failed renewal is no loss.
func TestTrap11TransientErrorIsNoLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k")
		for range 20 {
			f.onRenew(unreachable)
			time.Sleep(7 * second) // past the renewal that was due, and some retries
			if l.Err() != nil {
				t.Fatalf("lost after failing renewals: %v", l.Err())
			}
			f.onRenew(nil)
			time.Sleep(5 * second)
		}
		unlock(t, l)
	})
}

// Trap 12 (rueidis#923): renewal keeps its pace, counted from the clock, when the
// server is slow.
func TestTrap12RenewalDoesNotDrift(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k")
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			out := f.Backend.Renew(ctx, g)
			start := time.Now()
			time.Sleep(2 * second) // the reply is slow
			for i := range out {
				out[i].Start = start
			}
			return out
		})
		time.Sleep(time.Hour)
		if l.Err() != nil {
			t.Errorf("lost: %v", l.Err())
		}
		if n := f.renews.Load(); n < 710 || n > 730 {
			t.Errorf("%d renewals in an hour, want 720", n)
		}
		unlock(t, l)
	})
}

// Trap 13 (consul#7523, redsync): retries spread out, and are few.
func TestTrap13RetriesBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		f.onAcquire(func(context.Context, driver.Request) (driver.Grant, error) {
			return driver.Grant{}, driver.ErrUnavailable
		})
		if _, err := c.Lock(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnavailable) {
			t.Fatal(err)
		}
		if n := f.acquires.Load(); n > 50 {
			t.Errorf("%d requests within one TTL to a server that is down", n)
		}
		n := f.acquires.Load()
		if _, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnavailable) || f.acquires.Load() != n+2 {
			t.Errorf("TryLock: %v after %d requests, want two", err, f.acquires.Load()-n)
		}
		f.onAcquire(nil)
	})
}

// Trap 14 (dynamolock and others): the token of a lease never changes, and rises
// from grant to grant. (Through what it rises is drivertest's.)
func TestTrap14TokenOfALeaseIsFixed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, mem.New(mem.NewSpace()), nil)
		l := lock(t, c, "k")
		token := l.Token()
		time.Sleep(time.Minute)
		unlock(t, l)
		l2 := lock(t, c, "k")
		if l.Token() != token || l2.Token() <= token {
			t.Errorf("tokens %v, then %v, next grant %v", token, l.Token(), l2.Token())
		}
		unlock(t, l2)
	})
}

// Trap 15 (client-go#139991, consul's nil, nil): Do unlocks after fn has returned,
// not when its context ends; and no method returns neither a lease nor an error.
func TestTrap15DoWaitsForTheWork(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, mem.New(mem.NewSpace()), nil)
		ctx, cancel := context.WithCancel(t.Context())
		err := fencelock.Do(ctx, c, "k", func(ctx context.Context, _ *fencelock.Lease) error {
			cancel()
			<-ctx.Done()
			time.Sleep(time.Minute) // slow to stop
			if _, err := c.TryLock(context.Background(), "k"); !errors.Is(err, fencelock.ErrHeld) {
				t.Errorf("the lock was given up under the work: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("Do: %v", err)
		}
		free(t, c, "k")
		if l, err := c.Lock(ctx, "k"); l != nil || err == nil {
			t.Errorf("Lock with a dead context: %v, %v", l, err)
		}
	})
}

// The server's own error is reachable, and is not asked again.
func TestPermanentErrorIsReturnedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		f.onAcquire(func(context.Context, driver.Request) (driver.Grant, error) { return driver.Grant{}, io.ErrNoProgress })
		_, err := c.Lock(t.Context(), "k")
		if !errors.Is(err, io.ErrNoProgress) || errors.Is(err, fencelock.ErrUnavailable) || f.acquires.Load() != 1 {
			t.Errorf("Lock: %v after %d requests", err, f.acquires.Load())
		}
		synctest.Wait()
		if f.releases.Load() != 1 {
			t.Errorf("%d releases: what a failed request may have left must be removed", f.releases.Load())
		}
		f.onAcquire(nil)
	})
}
