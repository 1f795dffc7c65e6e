package process_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// killedAndSuspended has four processes take turns, while a holder, and now and then
// whoever, is killed and replaced, or suspended until another has written. Afterwards
// the history must show: tokens unique, and ordered like the grants in real time; no
// two leases valid at the same time; every increment kept that the counter took.
func killedAndSuspended(t *testing.T, w *world) {
	const (
		workers         = 4
		atLeast, atMost = 12 * time.Second, 40 * time.Second
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &chaos{world: w, rnd: rand.New(rand.NewPCG(seed, 0)), history: newHistory()}
	for range workers {
		c.hire(t)
	}
	began := time.Now()
	for n := 0; time.Since(began) < atLeast || !c.enough(); n++ {
		if time.Since(began) > atMost {
			t.Error("too little has happened: this run shows nothing")
			break
		}
		c.fault(t, n)
		if t.Failed() {
			break
		}
	}
	for _, one := range c.workers {
		_ = one.in.Close()
		if how := one.expect(t, "bye", soon).How; how != "ok" {
			t.Errorf("Close of %s: %s", one.name, how)
		}
	}
	c.check(t, w.resource)
	t.Logf("%v, %d increments, %d late writes refused; %d killed, %d suspended, %d take-overs",
		c.history, w.resource.writes, c.refused(), c.killed, c.suspended, c.takeovers)
}

// chaos is what happens to the workers.
type chaos struct {
	*world
	*history
	rnd     *rand.Rand
	workers []*child
	hired   int

	killed, suspended, takeovers int

	mu   sync.Mutex
	trap func(*child, word) // gets the next grant, once
}

// enough tells whether so much has happened that the history shows something.
func (c *chaos) enough() bool {
	return c.grants() >= 60 && c.killed >= 2 && c.suspended >= 2 && c.takeovers >= 3 && c.refused() >= 1
}

// hire starts a worker.
func (c *chaos) hire(t *testing.T) {
	t.Helper()
	c.hired++
	env := c.env("worker", c.addrs, chaosTTL)
	env[seedVariable] = strconv.FormatUint(c.rnd.Uint64(), 10)
	var one *child
	met := make(chan struct{})
	one = start(t, fmt.Sprintf("worker %d", c.hired), env, func(w word) {
		<-met
		c.hear(one, w)
	})
	close(met)
	one.expect(t, "ready", soon)
	c.workers = append(c.workers, one)
}

// hear handles a word, on the goroutine of its speaker.
func (c *chaos) hear(from *child, w word) {
	c.history.hear(from.name, w)
	if w.What != "granted" {
		return
	}
	c.mu.Lock()
	trap := c.trap
	c.trap = nil
	c.mu.Unlock()
	if trap != nil {
		trap(from, w)
	}
}

// nextGrant waits for a grant, and does something as soon as it is told of, if that
// is not nil.
func (c *chaos) nextGrant(t *testing.T, within time.Duration, do func(*child, word)) (holder *child, got word) {
	t.Helper()
	type grant struct {
		holder *child
		word   word
	}
	granted := make(chan grant, 1)
	c.mu.Lock()
	c.trap = func(holder *child, w word) {
		if do != nil {
			do(holder, w)
		}
		granted <- grant{holder, w}
	}
	c.mu.Unlock()
	select {
	case g := <-granted:
		return g.holder, g.word
	case <-time.After(within):
		t.Fatalf("no grant within %v", within)
		return nil, word{}
	}
}
