package cluster

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// counter counts what comes.
type counter struct {
	heard, again atomic.Int32
}

func subscribe(t *testing.T, c *Cluster, l *counter) {
	t.Helper()
	if l == nil {
		l = new(counter)
	}
	if err := c.Subscribe(t.Context(), "ch", func(string) { l.heard.Add(1) }, func() { l.again.Add(1) }); err != nil {
		t.Fatal(err)
	}
}

// listenAt has the listener at a1, and where it is then.
func listenAt(t *testing.T, w *world, c *Cluster, l *counter) {
	t.Helper()
	w.change(func(f *fake) { f.down = true }, b1, c1)
	for _, addr := range []string{b1, c1} {
		c.peers.doubt(addr)
	}
	subscribe(t, c, l)
	w.change(func(f *fake) { f.down = false }, b1, c1)
	if at := w.listensAt(); !slices.Equal(at, []string{a1}) {
		t.Fatalf("it listens at %v", at)
	}
}

// The listener leaves a node that is silent, or that the others do not reach, before the Cluster can have given it up: within
// the node timeout, which is 2 s.
func TestListenerMoves(t *testing.T) {
	for name, fault := range map[string]func(w *world, c *Cluster){
		"silent": func(w *world, _ *Cluster) { w.change(func(f *fake) { f.silent = true }, a1) },
		"down":   func(w *world, _ *Cluster) { w.change(func(f *fake) { f.down = true }, a1) },
		"isolated": func(w *world, _ *Cluster) {
			w.change(see(flagged(flagged(threeMasters(), b1, "master,fail?"), c1, "master,fail")), a1)
		},
		"a replica": func(w *world, _ *Cluster) {
			w.change(see([]claim{{a1, "slave", 9, 0, 0}, {b1, "master", 2, 5461, 10922}, {c1, "master", 3, 10923, 16383}, {r1, "master", 9, 0, 5460}}))
		},
		"in doubt, and silent": func(w *world, c *Cluster) {
			w.change(func(f *fake) { f.silent = true }, a1)
			c.Doubt(a1)
		},
	} {
		w := newWorld(threeMasters()...)
		inWorld(t, w, func(t *testing.T, c *Cluster) {
			l := new(counter)
			listenAt(t, w, c, l)
			time.Sleep(10 * time.Second) // nothing happens meanwhile
			if at := w.listensAt(); !slices.Equal(at, []string{a1}) || l.again.Load() > 0 {
				t.Fatalf("%s: it listens at %v, and has begun again %d times", name, at, l.again.Load())
			}
			fault(w, c)
			began := time.Now()
			for l.again.Load() == 0 && time.Since(began) < 5*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(began); took > 1100*time.Millisecond || name == "in doubt, and silent" && took > 650*time.Millisecond {
				t.Errorf("%s: it is elsewhere after %v", name, took)
			}
			if at := w.listensAt(); len(at) != 1 || at[0] == a1 {
				t.Errorf("%s: it listens at %v", name, at)
			}
			heard := 0
			for _, addr := range []string{b1, c1, r1} {
				heard += w.publish(addr, "x")
			}
			time.Sleep(time.Millisecond)
			if heard != 1 || l.heard.Load() != 1 {
				t.Errorf("%s: %d listen elsewhere, and %d messages have come", name, heard, l.heard.Load())
			}
		})
	}
}

// A client that does nothing but listen, at a node that is well, learns of the fail-over of another soon after it.
func TestIdleClientLearns(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		subscribe(t, c, nil)
		time.Sleep(time.Minute)
		w.change(func(f *fake) { f.silent = true }, a1)
		w.change(see(flagged(threeMasters(), a1, "master,fail?")), b1, c1, r1)
		time.Sleep(2 * time.Second)
		w.change(see(failedOver()), b1, c1, r1)
		began := time.Now()
		for ownerOf(c, keyA) != r1 && time.Since(began) < 10*time.Second {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > 2*uneasyBeat {
			t.Errorf("it knows after %v", took)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.Equal(w.failed, []string{a1}) {
			t.Errorf("told to have failed: %q", w.failed)
		}
	})
}

// Where nobody can be reached the listener goes round, and not faster than is good; when they are back it is somewhere soon.
func TestListenerGoesRound(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		l := new(counter)
		subscribe(t, c, l)
		w.change(func(f *fake) { f.down = true })
		time.Sleep(time.Minute)
		w.change(func(f *fake) { f.down = false })
		time.Sleep(500 * time.Millisecond)
		if at := w.listensAt(); len(at) != 1 || l.again.Load() != 1 {
			t.Errorf("it listens at %v, and has begun again %d times", at, l.again.Load())
		}
	})
}
