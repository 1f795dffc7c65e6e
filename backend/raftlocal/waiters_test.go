package raftlocal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/fakemember"
	"github.com/fencelock/fencelock/driver"
)

// scene is a holder and a waiter, on a member that is not one, in virtual time.
type scene struct {
	*testing.T
	member *fakemember.Member
	a, b   *backend
	link   *fakemember.Link // of b
	held   driver.Grant     // a's
	wait   chan driver.Grant
	heard  atomic.Int64 // how often the cluster has confirmed that b waits
}

// waiting runs a test with b waiting for what a holds.
func waiting(t *testing.T, ttl time.Duration, f func(t *testing.T, s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t, member: fakemember.New(), wait: make(chan driver.Grant, 1)}
		defer s.member.Close()
		s.a, _ = on(s.member)
		defer s.a.Close()
		s.b, s.link = on(s.member)
		defer s.b.Close()
		var err error
		if s.held, err = s.a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		go func() {
			g, err := s.b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "b", TTL: ttl, Wait: true, Waiting: func() { s.heard.Add(1) }})
			if err != nil && t.Context().Err() == nil {
				t.Errorf("waiting: %v", err)
			}
			s.wait <- g
		}()
		synctest.Wait()
		f(t, s)
	})
}

// handOff releases and says how long it takes the waiter to know.
func (s *scene) handOff() (driver.Grant, time.Duration) {
	s.Helper()
	begin := time.Now()
	if err := s.a.Release(s.Context(), s.held); err != nil {
		s.Fatal(err)
	}
	select {
	case g := <-s.wait:
		if d := time.Since(begin); time.Since(g.Start) > g.TTL {
			s.Errorf("what was granted after %v is over", d)
		}
		return g, time.Since(begin)
	case <-time.After(time.Hour):
		s.Fatal("the waiter never knew")
	}
	return driver.Grant{}, 0
}

func (s *scene) within(most time.Duration) {
	s.Helper()
	if _, d := s.handOff(); d > most {
		s.Errorf("the waiter knew after %v, want %v", d, most)
	}
}

// That it waits is confirmed at once, and then within each half of the TTL, however long the session
// may be left alone; and not while the leader says nothing.
func TestWaitingIsConfirmed(t *testing.T) {
	for _, ttl := range []time.Duration{minTTL, 3 * time.Second, 10 * time.Minute} {
		waiting(t, ttl, func(t *testing.T, s *scene) {
			if n := s.heard.Load(); n != 1 {
				t.Errorf("TTL %v: confirmed %d times at once", ttl, n)
			}
			for range 10 {
				before := s.heard.Load()
				time.Sleep(ttl / 2)
				if s.heard.Load() == before {
					t.Errorf("TTL %v: not confirmed in half of it", ttl)
				}
			}
			defer s.handOff()
			if ttl < time.Minute {
				return // it would be over after what follows
			}
			s.member.Be(fakemember.Silent)
			synctest.Wait()
			before := s.heard.Load()
			time.Sleep(20 * time.Second)
			if n := s.heard.Load() - before; n > 0 {
				t.Errorf("TTL %v: confirmed %d times by a leader that says nothing", ttl, n)
			}
			s.member.Be(fakemember.Well)
			time.Sleep(30 * time.Second)
			if s.heard.Load() == before {
				t.Errorf("TTL %v: not confirmed after the outage", ttl)
			}
		})
	}
}

func TestWaiterIsPushed(t *testing.T) {
	waiting(t, 3*time.Second, func(_ *testing.T, s *scene) { s.within(0) })
}

// Its own session has long expired when a waiter with a long lease gets its turn, unless it is
// kept alive.
func TestWaiterWithALongLeaseIsPushed(t *testing.T) {
	waiting(t, 24*time.Hour, func(_ *testing.T, s *scene) {
		time.Sleep(time.Hour)
		s.within(0)
	})
}

func TestLostPushIsFound(t *testing.T) {
	waiting(t, 3*time.Second, func(_ *testing.T, s *scene) {
		s.member.Be(fakemember.Forgetful)
		s.within(time.Second)
	})
}

// The lock is granted while the waiter's connection is gone.
func TestPushWhileDisconnected(t *testing.T) {
	waiting(t, 10*time.Minute, func(t *testing.T, s *scene) {
		mend := s.link.Cut()
		s.link.Break()
		time.Sleep(time.Second)
		begin := time.Now()
		if err := s.a.Release(t.Context(), s.held); err != nil {
			t.Fatal(err)
		}
		mend()
		<-s.wait
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the waiter knew %v after it was back", d)
		}
	})
}

// The waiter's session ends on the cluster, and its claim does not.
func TestSessionEndsWhileWaiting(t *testing.T) {
	waiting(t, 10*time.Minute, func(_ *testing.T, s *scene) {
		s.member.EndSessions()
		time.Sleep(21 * time.Second) // keep has found out
		s.within(0)
	})
}

func TestLeaderDiesWhileWaiting(t *testing.T) {
	waiting(t, 10*time.Minute, func(_ *testing.T, s *scene) {
		s.member.Be(fakemember.Silent)
		time.Sleep(5 * time.Second)
		s.member.Be(fakemember.Well)
		time.Sleep(5 * time.Second)
		s.within(0)
	})
}

// Start is when the last request was sent that was answered with "waiting": not when the push
// came, and not when the wait began.
func TestStartOfAPushedGrant(t *testing.T) {
	waiting(t, 3*time.Second, func(t *testing.T, s *scene) {
		begin := time.Now()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		pushed := time.Now()
		g, _ := s.handOff()
		if g.Start.After(pushed) || pushed.Sub(g.Start) > time.Second || !g.Start.After(begin) {
			t.Errorf("Start is %v before the push", pushed.Sub(g.Start))
		}
	})
}

// A grant that is asked for again is as old as it is, whatever the second request says.
func TestRetryDoesNotMakeAGrantYounger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		req := driver.Request{Key: "k", AttemptID: "a", TTL: 9 * time.Second}
		first, err := a.Acquire(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		req.Retry = true
		again, err := a.Acquire(t.Context(), req)
		if err != nil || again.Token != first.Token || !again.Start.Equal(first.Start) {
			t.Errorf("asked again: %+v, %v, want Start %v", again, err, first.Start)
		}
		time.Sleep(4 * time.Second)
		if again, err = a.Acquire(t.Context(), req); err != nil || time.Since(again.Start) > 0 {
			t.Errorf("asked again when it was old: %+v, %v, want it renewed", again, err)
		}
	})
}

func TestEvictedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		b, _ := on(member)
		defer b.Close()
		told := make(chan error, 1)
		g, err := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: 24 * time.Hour, Lost: func(why error) { told <- why }})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // the session is kept, though nothing else is asked
		if err := b.Evict(t.Context(), "k", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case why := <-told:
			if !errors.Is(why, driver.ErrEvicted) {
				t.Errorf("told %v", why)
			}
		default:
			t.Errorf("the holder is not told")
		}
		if err := a.Release(t.Context(), g); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Release = %v, want ErrNotHeld", err)
		}
	})
}

// A release whose answer is lost, since its caller waits no longer, and that finds nothing when it is
// tried again, was carried out, if the lease cannot have run out; if it can, nobody knows.
func TestReleaseAgain(t *testing.T) {
	for after, want := range map[time.Duration]error{time.Second: nil, time.Minute: driver.ErrNotHeld} {
		synctest.Test(t, func(t *testing.T) {
			member := fakemember.New()
			defer member.Close()
			var link *fakemember.Link
			var mend func()
			member.Seen = func(c command.Command) {
				if c.Op == command.Release && mend == nil {
					mend = link.Cut() // it is carried out, and the answer does not arrive
				}
			}
			a, l := on(member)
			defer a.Close()
			link = l
			g, err := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: 30 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := a.Release(ctx, g); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Release without an answer = %v", err)
			}
			time.Sleep(after)
			synctest.Wait()
			mend()
			if err := a.Release(t.Context(), g); !errors.Is(err, want) {
				t.Errorf("%v later, Release again = %v, want %v", after, err, want)
			}
			if err := a.Release(t.Context(), g); !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Release when all is known = %v, want ErrNotHeld", err)
			}
		})
	}
}

// What has ended leaves nothing behind in the client.
func TestNothingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		b, _ := on(member)
		defer b.Close()
		for i := range 50 {
			id := func(s string) string { return fmt.Sprint(s, i) }
			g, err := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: id("a"), TTL: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: id("b"), TTL: time.Second}); !errors.Is(err, driver.ErrHeld) {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, _ = b.Acquire(ctx, driver.Request{Key: "k", AttemptID: id("c"), TTL: time.Second, Wait: true}) // and nobody releases it
			cancel()
			_ = a.Release(t.Context(), g)
			time.Sleep(3 * time.Second)
		}
		if _, err := a.Acquire(t.Context(), driver.Request{Key: "never released", AttemptID: "a", TTL: time.Second}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		for name, x := range map[string]*backend{"a": a, "b": b} {
			x.mu.Lock()
			attempts := 0
			for range x.registry.ledger.All() {
				attempts++
			}
			if attempts+len(x.registry.numbers)+len(x.registry.queued) > 0 {
				t.Errorf("%s still has %d attempts, %d numbers, %d waiters", name, attempts, len(x.registry.numbers), len(x.registry.queued))
			}
			x.mu.Unlock()
		}
	})
}

// The reply that says "wait" is lost, and the lock is granted before the request is sent again:
// what is answered then is the first reply, which is old, and the push is gone.
func TestOldReplyIsNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		b, link := on(member)
		defer b.Close()
		g, err := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		var mend func()
		member.Lose = func(c command.Command) bool {
			if c.Op != command.Acquire || mend != nil {
				return false
			}
			mend = link.Cut()
			return true
		}
		got := make(chan error, 1)
		go func() {
			_, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "b", TTL: 10 * time.Minute, Wait: true})
			got <- err
		}()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if err := a.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		mend()
		begin := time.Now()
		if err := <-got; err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("the waiter knew %v after it was back: %v", time.Since(begin), err)
		}
	})
}

// Whoever asks again cannot tell when the grant that it finds began, and renews it.
func TestGrantOfUnknownAgeIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		var seen []command.Op
		member.Seen = func(c command.Command) { seen = append(seen, c.Op) }
		g, err := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: 9 * time.Second, Retry: true})
		if err != nil || time.Since(g.Start) > 0 {
			t.Errorf("got %+v, %v", g, err)
		}
		synctest.Wait()
		if len(seen) != 3 || seen[2] != command.Renew {
			t.Errorf("it sent %v, want a Renew in the end", seen)
		}
	})
}

// A waiter costs one renewal in each third of its TTL, or in 20 s, and none besides.
func TestWaitersAreRenewedSparingly(t *testing.T) {
	for ttl, want := range map[time.Duration]int{3 * time.Second: 62, time.Hour: 3} {
		renewals := 0
		waiting(t, ttl, func(_ *testing.T, s *scene) {
			s.member.Watch(func(c command.Command) {
				if c.Op == command.Renew {
					renewals++
				}
			})
			time.Sleep(61 * time.Second)
			s.within(0)
		})
		if renewals > want*4/3+1 || renewals < want-2 {
			t.Errorf("a waiter with a TTL of %v was renewed %d times in a minute, want about %d", ttl, renewals, want)
		}
	}
}

// Release comes between the push and the hand-out: it ends the grant, so nobody may get it.
func TestReleasedBeforeHandOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		g, err := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		member.Be(fakemember.Mute) // no answer, so that the claim is on its way out
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_ = a.Release(ctx, g)
		if _, err := a.grant(t.Context(), g.Handle.(*attempt)); !errors.Is(err, driver.ErrReleased) {
			t.Errorf("it is handed out: %v", err)
		}
	})
}
