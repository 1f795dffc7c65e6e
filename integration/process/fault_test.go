package process_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/fencing"
)

// chaosTTL is the shortest that all backends have.
const chaosTTL = time.Second

// fault kills, or suspends, one of the workers: three times of four the holder, as
// soon as it says that it has the lock.
func (c *chaos) fault(t *testing.T, n int) {
	t.Helper()
	var err error
	var struck instant
	strike := func(one *child) {
		struck = now()
		if n%2 == 0 {
			_ = one.cmd.Process.Kill()
		} else {
			err = one.suspend()
		}
	}
	var victim *child
	var token fencing.Token // of the victim, if it is a holder
	if c.rnd.IntN(4) > 0 || n < 4 {
		for range c.rnd.IntN(20) {
			c.nextGrant(t, soon, nil) // let them work
		}
		var w word
		victim, w = c.nextGrant(t, soon, func(one *child, _ word) { strike(one) })
		token = w.Token
	} else {
		victim = c.workers[c.rnd.IntN(len(c.workers))]
		strike(victim)
	}
	if err != nil {
		t.Fatal(err)
	}
	// A waiter's turn comes when the three others have had theirs.
	grants := 1
	if token == 0 {
		grants = len(c.workers)
	}
	for last := struck; grants > 0; grants-- {
		_, got := c.nextGrant(t, c.freed(chaosTTL)+soon, nil)
		delay, most := got.At.sub(last), c.freed(chaosTTL)+slack
		if delay > most {
			t.Errorf("a grant came %v after the one before, want %v at most", delay, most)
		}
		if delay > chaosTTL/2 {
			c.takeovers++ // nothing but the end of a lease takes so long
		}
		last = got.At
	}
	if n%2 == 0 {
		c.killed++
		c.bury(t, victim, struck)
		return
	}
	c.suspended++
	if token != 0 && !c.resource.passed(token, soon) {
		t.Errorf("nobody has written since token %v", token)
	}
	if err := victim.resume(); err != nil {
		t.Fatal(err)
	}
}

// bury notes when a worker died, and starts another one in its place.
func (c *chaos) bury(t *testing.T, dead *child, died instant) {
	t.Helper()
	<-dead.exited
	c.died(dead.name, died)
	c.workers = slices.DeleteFunc(c.workers, func(one *child) bool { return one == dead })
	c.hire(t)
}
