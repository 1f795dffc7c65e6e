package cluster

import (
	"testing"
	"time"
)

func ownerOf(c *Cluster, key string) string {
	x, _ := c.slots.Load().owner(Slot(key))
	return x.Addr
}

// Whoever knows of the latest change is believed; who has slept is not.
func TestNewestView(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		refresh := func() {
			t.Helper()
			if err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.change(see(failedOver()), c1, r1) // neither a1 nor b1 knows
		if refresh(); ownerOf(c, keyA) != r1 {
			t.Errorf("the slot is at %s, though one knows more", ownerOf(c, keyA))
		}
		w.change(func(f *fake) { f.down = true }, c1, r1)
		if refresh(); ownerOf(c, keyA) != r1 {
			t.Errorf("the slot is back at %s, since b1 alone has an old view", ownerOf(c, keyA))
		}
		// A Cluster that was made again begins with small epochs.
		w.change(func(f *fake) {
			f.down, f.sees = false, []claim{{a1, "master", 1, 0, 8000}, {b1, "master", 2, 8001, 16383}, {c1, "slave", 0, 0, 0}, {r1, "slave", 0, 0, 0}}
		})
		if refresh(); ownerOf(c, keyC) != b1 {
			t.Errorf("the slot is at %s, though all say otherwise", ownerOf(c, keyC))
		}
	})
}

// With no master that answers, replicas and seeds tell.
func TestReplicasTell(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(func(f *fake) { f.down = true }, a1, b1, c1)
		w.change(see([]claim{{a1, "master,fail", 1, 0, 0}, {b1, "master,fail", 2, 5461, 10922}, {c1, "master,fail", 3, 10923, 16383}, {r1, "master", 9, 0, 5460}}), r1)
		if err := c.Refresh(t.Context()); err != nil || ownerOf(c, keyA) != r1 {
			t.Errorf("%v; the slot is at %s", err, ownerOf(c, keyA))
		}
	})
}

// A map of which only a redirection tells soon becomes one that nodes tell.
func TestRedirectionIsConfirmed(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(see(failedOver()))
		w.change(func(f *fake) { f.says = func(key string, _ bool) string { return moved(key, r1) } }, a1)
		if _, err := eval(t.Context(), c, time.Second, keyA); err != nil {
			t.Fatal(err)
		}
		time.Sleep(mostLook)
		if x, _ := c.slots.Load().owner(Slot(keyA)); x.ID != idOf(r1) {
			t.Errorf("the master is %+v", x)
		}
		if x, _ := c.slots.Load().owner(0); x.Addr != r1 {
			t.Errorf("another slot is still at %s", x.Addr)
		}
	})
}

// Who wants a map all the time does not ask all the time.
func TestLooksAreRare(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		asked := 0
		w.change(func(f *fake) { f.told = func() { asked++ } })
		for range 10_000 {
			c.Doubt(a1)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if asked < 40 || asked > 100 {
			t.Errorf("nodes were asked %d times in 10 s", asked)
		}
	})
}

// Nodes that are none any more are forgotten, with their connections.
func TestPeersAreForgotten(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		subscribe(t, c, nil)
		w.change(see([]claim{{b1, "master", 9, 0, 8000}, {c1, "master", 8, 8001, 16383}}))
		time.Sleep(2 * unusedAfter) // one may still be asked when it goes
		c.peers.mu.Lock()
		defer c.peers.mu.Unlock()
		for addr := range c.peers.byAddr {
			if addr != b1 && addr != c1 {
				t.Errorf("there is still a peer at %s", addr)
			}
		}
	})
}
