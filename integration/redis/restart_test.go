package redis_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// keeping makes a server that loses nothing when it is killed.
func keeping() servers.Option { return servers.Args("--appendonly", "yes", "--appendfsync", "always") }

// TestRestartWithData: a server that is killed and comes back with its data is an
// outage and nothing else. The holder holds, those who wait keep their positions.
func TestRestartWithData(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind, keeping()), locktest.Namespace()
			var book locktest.Ledger
			holder := open(t, s.Addr(), ns, time.Minute)
			held := locktest.Lock(t, holder, "k")
			book.Record(t, held)
			var waiting []<-chan locktest.Attempt
			for i := range 3 {
				waiting = append(waiting, locktest.StartLock(t.Context(), open(t, s.Addr(), ns, time.Minute), "k"))
				awaitWaiters(t, holder, "k", i+1)
			}
			s.Kill(t)
			s.Restart(t)
			awaitWaiters(t, holder, "k", len(waiting))
			if err := held.Ensure(t.Context(), 50*time.Second); err != nil {
				t.Errorf("the lease: %v", err)
			}
			for _, w := range waiting {
				locktest.Unlock(t, held)
				held = locktest.ExpectLock(t, w, 4*locktest.Soon)
				book.Record(t, held)
			}
			locktest.Unlock(t, held)
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// TestRestartWithoutData: the server comes back and knows nothing. Another can
// have the lock then, and the first holder is told at once: not by its next
// renewal, which is 20 s away, but because its client asks after its leases as
// soon as it is connected again. Those who wait are not wedged: they join the
// queue again, or get the lock.
func TestRestartWithoutData(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			var book locktest.Ledger
			holder := open(t, s.Addr(), ns, time.Minute)
			held := locktest.Lock(t, holder, "k")
			book.Record(t, held)
			other := locktest.Lock(t, holder, "nobody waits for it")
			waiting := make(chan locktest.Attempt, 3)
			for i := range cap(waiting) {
				a := locktest.StartLock(t.Context(), open(t, s.Addr(), ns, time.Minute), "k")
				go func() { waiting <- <-a }()
				awaitWaiters(t, holder, "k", i+1)
			}
			s.Kill(t)
			s.Restart(t)
			back := time.Now()
			locktest.ExpectLost(t, held, locktest.Soon)
			locktest.ExpectLost(t, other, locktest.Soon)
			t.Logf("the holder was told %v after the restart", time.Since(back).Round(time.Millisecond))
			for range cap(waiting) {
				l := locktest.ExpectLock(t, waiting, 4*locktest.Soon)
				book.Record(t, l)
				locktest.Unlock(t, l)
			}
			t.Logf("all who waited had the lock %v after the restart", time.Since(back).Round(time.Millisecond))
			l := locktest.Lock(t, holder, "k")
			book.Record(t, l)
			locktest.Unlock(t, l)
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// TestRestartIsNoticedThoughTheQuestionIsLost: the first request with which a
// client asks after its leases meets a server that is not ready, or a connection
// that breaks once more. It asks again.
func TestRestartIsNoticedThoughTheQuestionIsLost(t *testing.T) {
	t.Parallel()
	s, ns := servers.Start(t, servers.Redis), locktest.Namespace()
	p := through(t, s.Addr())
	holder := open(t, p.Addr(), ns, time.Minute)
	held := locktest.Lock(t, holder, "k")
	s.Kill(t)
	lost := p.LoseRequest(renews, 1)
	s.Restart(t)
	locktest.Await(t, locktest.Soon, "the question is lost", lost.Fired())
	locktest.ExpectLost(t, held, locktest.Soon)
}

// TestOutageLongerThanTheTTL: the server stays away until every lease has ended.
// The holder knows; one that waits gets an error that says why, or the lock when
// the server is back. The clients go on working.
func TestOutageLongerThanTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Start(t, servers.Redis, keeping()), locktest.Namespace()
	holder, impatient, patient := open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, time.Minute)
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	soonTired := locktest.StartLock(t.Context(), impatient, "k")
	awaitWaiters(t, holder, "k", 1)
	untiring := locktest.StartLock(t.Context(), patient, "k")
	awaitWaiters(t, holder, "k", 2)

	s.Kill(t)
	locktest.ExpectLost(t, held, locktest.Soon)
	expectUnavailable(t, locktest.Outcome(t, soonTired, locktest.Soon))
	s.Restart(t)
	l := locktest.ExpectLock(t, untiring, 4*locktest.Soon)
	book.Record(t, l)
	locktest.Unlock(t, l)
	book.TakeTurns(t, locktest.Soon, "k", holder, impatient, patient)
}
