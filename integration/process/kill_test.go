package process_test

import (
	"testing"
)

// killedHolder ends holders that have renewed for a while, by kill -9, while others
// wait: the first of those gets the lock when the lease has ended, and soon after.
func killedHolder(t *testing.T, w *world) { killHolders(t, w, w.client(t, "holder", ttl)) }

func killHolders(t *testing.T, w *world, holder *child) {
	t.Helper()
	second, third := w.client(t, "second", ttl), w.client(t, "third", patient)
	held := holder.ask(t, "lock", "granted")
	second.tell(t, "lock")
	w.awaitWaiters(t, 1)
	third.tell(t, "lock")
	w.awaitWaiters(t, 2)

	for _, next := range []*child{second, third} {
		for range 2 {
			holder.expect(t, "renewed", soon)
		}
		killed := now()
		holder.kill()
		held = w.expectTakeover(t, next, killed, held, holder.trustedUntil())
		holder = next
	}
	if how := third.ask(t, "unlock", "unlocked").How; how != "ok" {
		t.Errorf("Unlock of the last: %s", how)
	}
}

// killedWaiter ends a waiter in the middle of the queue by kill -9. Those behind it do
// not wait for longer than its TTL.
func killedWaiter(t *testing.T, w *world) {
	held, err := w.watcher.Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	dead, living := w.client(t, "the dead waiter", ttl), w.client(t, "the living waiter", patient)
	dead.tell(t, "lock")
	w.awaitWaiters(t, 1)
	living.tell(t, "lock")
	w.awaitWaiters(t, 2)

	killed := now()
	dead.kill()
	freed := now()
	if err := held.Unlock(t.Context()); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
	got := w.expectTakeover(t, living, killed, word{Token: held.Token()}, freed)
	if got.At.sub(killed) < ttl/2 {
		t.Error("the dead waiter had no part in this: the test has tested nothing")
	}
	if how := living.ask(t, "unlock", "unlocked").How; how != "ok" {
		t.Errorf("Unlock: %s", how)
	}
	if s, err := w.watcher.Inspect(t.Context(), key); err != nil || s.Held() || s.Waiters > 0 {
		t.Errorf("afterwards there is %+v, %v", s, err)
	}
}
