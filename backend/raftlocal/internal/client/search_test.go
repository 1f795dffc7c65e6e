package client_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// vanish ends a member without a word: connections to it break, and no new one comes about.
func (c *cluster) vanish(addr string) (back func()) {
	back = c.link.Lose(addr)
	c.members[addr].Drop()
	synctest.Wait()
	return back
}

// Whoever is asked first, a member that is gone does not keep the client from the others.
func TestMemberThatIsGone(t *testing.T) {
	bubble(t, []string{"a", "b", "c"}, func(t *testing.T, c *cluster) {
		defer c.vanish("b")()
		defer c.vanish("c")()
		for range 20 {
			if d := c.nop(); d > 300*time.Millisecond {
				t.Fatalf("the leader was found %v after it was needed", d)
			}
			c.link.Break()
			synctest.Wait()
		}
	})
}

// The leader is gone, the others do not know yet and say that it leads, and then elect
// another: it is found soon after that.
func TestLeaderThatIsGone(t *testing.T) {
	for election := 100 * time.Millisecond; election < 10*time.Second; election *= 2 {
		bubble(t, []string{"a", "b", "c"}, func(t *testing.T, c *cluster) {
			c.nop()
			defer c.vanish("a")()
			time.AfterFunc(election, func() { c.elect(3, "c") })
			if d := c.nop() - election; d > 100*time.Millisecond+election/4 {
				t.Errorf("the leader was found %v after it was elected, which took %v", d, election)
			}
		})
	}
}

// A member that takes its time is waited for, although the others are asked again and again
// meanwhile; one that was gone is found when it is back.
func TestLeaderThatIsSlow(t *testing.T) {
	for _, gone := range []time.Duration{700 * time.Millisecond, 8 * time.Second} {
		bubble(t, []string{"a", "b", "c"}, func(t *testing.T, c *cluster) {
			c.nop()
			time.AfterFunc(gone, c.vanish("a"))
			if d := c.nop() - gone; d < 0 || d > 100*time.Millisecond+gone/8 {
				t.Errorf("a leader that could not be reached for %v was found %v after that", gone, d)
			}
		})
	}
}

// The leader is found under two addresses at the same time. The session goes on on the
// connection that is chosen, whichever that is, and whichever the member has heard of last.
func TestLeaderWithTwoNames(t *testing.T) {
	for range 100 {
		bubble(t, []string{"a", "also a"}, func(t *testing.T, c *cluster) {
			c.nop()
			back := []func(){c.link.Lose("a"), c.link.Lose("also a")}
			c.link.Break()
			time.AfterFunc(500*time.Millisecond, func() {
				for _, find := range back {
					find()
				}
			})
			if d := c.nop(); d > 700*time.Millisecond {
				t.Fatalf("a command was answered after %v", d)
			}
		})
	}
}
