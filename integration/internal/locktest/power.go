package locktest

import (
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// LosePower has power fail at all members at once, and come back. That is an outage and
// nothing else: the holder holds, by the same token, those who wait keep their places,
// and tokens go on to rise. Those who wait are opened here; in the end the lock is free.
func LosePower(t T, c *servers.Cluster, holder *fencelock.Client, held *fencelock.Lease, ttl time.Duration, open func() *fencelock.Client) {
	t.Helper()
	var book Ledger
	book.Enter(t, held)
	var waiting []<-chan Attempt
	for i := range 3 {
		waiting = append(waiting, StartLock(t.Context(), open(), held.Key()))
		AwaitWaiters(t, Electing, holder, held.Key(), i+1)
	}
	c.Kill(t)
	c.Restart(t)
	back := time.Now()
	AwaitWaiters(t, Electing, holder, held.Key(), len(waiting))
	if s, err := holder.Inspect(t.Context(), held.Key()); err != nil || !s.Held() || s.Holders[0].Token != held.Token() {
		t.Errorf("Inspect = %+v, %v; want token %v", s, err, held.Token())
	}
	AwaitRenewal(t, held, ttl, back)
	for _, w := range waiting {
		Unlock(t, held)
		held = ExpectLock(t, w, Electing)
		book.Enter(t, held)
	}
	Unlock(t, held)
}
