package member

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// A holder dies, and the waiters behind it with it, each of which has renewed at another time. The
// next that lives has the lock when the last of them was to end, and not a TTL later for each.
func TestDeadWaitersCostOneTTL(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		const ttl, dead = 3 * time.Second, 5
		holder := net.open(l)
		holder.want(acquire("k", "holder", ttl), command.Granted)
		for i := range dead {
			net.pass(ttl / 10)
			net.open(l).want(acquire("k", fmt.Sprint("dead", i), ttl), command.Waiting)
		}
		died := net.now
		living := net.open(l)
		living.want(acquire("k", "living", time.Hour), command.Waiting)
		for len(living.pushes) == 0 {
			net.pass(tick)
			if net.now-died > 10*ttl {
				t.Fatal("never granted")
			}
		}
		if took := net.now - died; took > ttl+5*tick {
			t.Errorf("granted %v after the others had died, with a TTL of %v", took, ttl)
		}
		if c := living.pushes[0].Claim.Code; c != command.Granted {
			t.Errorf("the push is %v", c)
		}
	})
}

// A waiter that has the lock, and renews in the last moment, keeps it, whatever is on its way then.
func TestWaiterThatRenewsIsNotEnded(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		const ttl = 3 * time.Second
		for early := range 6 * tick / (10 * time.Millisecond) {
			net := newNetwork(t, n)
			l := net.leader()
			holder, waiter, next := net.open(l), net.open(l), net.open(l)
			holder.want(acquire("k", "holder", ttl), command.Granted)
			net.pass(ttl / 2)
			number := waiter.do(acquire("k", "waiter", ttl)).Number
			asked := net.now
			next.want(acquire("k", "next", time.Hour), command.Waiting)
			net.pass(asked + ttl - 3*tick + early*10*time.Millisecond - net.now)
			r := waiter.do(command.Command{Op: command.Renew, Claims: []uint64{number}})
			renewed := net.now
			if r.Claims[0].Code != command.Granted {
				// It was too late: and then the next has it for good.
				if renewed-asked < ttl {
					t.Errorf("ended %v after it was asked for", renewed-asked)
				}
				continue
			}
			net.pass(ttl - 2*tick - (net.now - renewed))
			if len(next.pushes) != 0 {
				t.Errorf("renewed %v after it was asked for, and ended within %v all the same", renewed-asked, net.now-renewed)
			}
		}
	})
}

// What renews a claim, and is proposed before its release is, takes it from the list.
func TestUsherLeavesWhoRenews(t *testing.T) {
	u := usher{opening: true, name: command.SessionID{1}, due: map[uint64]struct{}{7: {}, 8: {}}}
	u.proposed([]command.Command{{Op: command.Renew, Claims: []uint64{6, 7}}, {Op: command.Release, Claims: []uint64{8}}})
	if _, is := u.due[7]; is || len(u.due) != 1 {
		t.Errorf("to be ended are %v, want 8", u.due)
	}
	u.answered([]command.Answer{{ID: command.SessionID{2}, Reply: command.Reply{Code: command.OK, Number: 3}}})
	if u.session != 0 {
		t.Error("another's session is taken for the own one")
	}
}
