package cluster_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestMembers: a master gives all its slots away, leaves the Cluster, comes back as a new one without slots, and is given some.
// Locks are held, waited for and handed on all the while; clients stay, and clients come that know no other address.
func TestMembers(t *testing.T) {
	t.Parallel()
	w := startMasters(t, 4)
	all := w.ways(t)
	by := all[len(all)-1]
	const first, last = 3 * slots / 4, slots - 1
	if by.name == "KeyByKey" {
		// Sixteen thousand commands would take too long: most slots have moved before anybody comes.
		w.giveAway(t, first, last-21, &w.Nodes[2])
	}
	leaver, rest := &w.Nodes[3], []*servers.RedisNode{&w.Nodes[0], &w.Nodes[1], &w.Nodes[2]}

	holder, waiter := w.open(t, 10*time.Second), w.open(t, time.Hour)
	var held []*fencelock.Lease
	var waiting []<-chan locktest.Attempt
	for _, key := range tagged(w.keyIn(t, last-20, last, "tag"), "held", 16) {
		held = append(held, locktest.Lock(t, holder, key))
		waiting = append(waiting, locktest.StartLock(t.Context(), waiter, key))
	}
	for _, l := range held {
		locktest.AwaitWaiters(t, locktest.Soon, holder, l.Key(), 1)
	}
	turns := startTurns(t, w.keyIn(t, last-20, last, "turns"), false, w.open(t, 30*time.Second), w.open(t, 30*time.Second))

	from := first
	if by.name == "KeyByKey" {
		from = last - 20
	}
	move := func(a, b *servers.RedisNode) {
		t.Helper()
		if err := w.move(by, from, last, a, b); err != nil {
			t.Fatal(err)
		}
	}
	move(leaver, rest[2])
	w.leave(t, leaver, rest)
	longest, grants := turns.reset()
	t.Logf("it has left; %d grants, the longest time without one %v", grants, round(longest))
	time.Sleep(500 * time.Millisecond)
	w.join(t, leaver, rest)
	newcomer := locktest.Open(t, "redis+cluster://"+leaver.Told(), w.ns, time.Minute) // an empty master knows the others
	locktest.Unlock(t, locktest.Lock(t, newcomer, "new"))
	move(rest[2], leaver)
	for _, l := range held[:8] {
		expectHandOff(t, l, waiting[0])
		waiting = waiting[1:]
	}
	held = held[8:]
	time.Sleep(500 * time.Millisecond)
	longest, grants = turns.reset()
	t.Logf("it is back; %d grants, the longest time without one %v", grants, round(longest))
	if longest > 500*time.Millisecond+locktest.Slack {
		t.Errorf("the longest time without a grant is %v", longest)
	}
	turns.end(t)
	for i, l := range held {
		expectHandOff(t, l, waiting[i])
	}
	w.expectNothingLeft(t)
}

func expectHandOff(t *testing.T, l *fencelock.Lease, waiting <-chan locktest.Attempt) {
	t.Helper()
	if err := l.Ensure(t.Context(), 8*time.Second); err != nil {
		t.Fatalf("a lease: %v", err)
	}
	locktest.Unlock(t, l)
	next := locktest.ExpectLock(t, waiting, locktest.Soon)
	if next.Token() <= l.Token() {
		t.Errorf("token %v after %v", next.Token(), l.Token())
	}
	locktest.Unlock(t, next)
}

// giveAway moves slots that have no keys.
func (w *world) giveAway(t *testing.T, first, last int, to *servers.RedisNode) {
	t.Helper()
	for i := range w.Nodes {
		pipe := w.plain[&w.Nodes[i]].Pipeline()
		for slot := first; slot <= last; slot++ {
			pipe.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", to.ID)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatalf("SETSLOT: %v", err)
		}
	}
	if err := w.awaitMoved(t.Context(), first, last, to); err != nil {
		t.Fatal(err)
	}
}

// leave has a master without slots forget the others, and them forget it.
func (w *world) leave(t *testing.T, n *servers.RedisNode, others []*servers.RedisNode) {
	t.Helper()
	locktest.Eventually(t, locktest.Soon, "it has no keys any more", func() bool { // some delete them later
		return w.plain[n].Do(t.Context(), "CLUSTER", "RESET", "HARD").Err() == nil
	})
	for _, other := range others { // for a minute: else they would hear of it from each other again
		w.do(t, other, "CLUSTER", "FORGET", n.ID)
	}
}

// join makes it a member again, by another name.
func (w *world) join(t *testing.T, n *servers.RedisNode, others []*servers.RedisNode) {
	t.Helper()
	n.ID, _ = w.do(t, n, "CLUSTER", "MYID").(string)
	host, port, _ := net.SplitHostPort(others[0].Told())
	var bus string
	for line := range strings.Lines(w.plain[others[0]].ClusterNodes(t.Context()).Val()) {
		if strings.Contains(line, "myself") { // id host:port@bus,…
			_, bus, _ = strings.Cut(line, "@")
			bus = strings.FieldsFunc(bus, func(r rune) bool { return r < '0' || r > '9' })[0]
		}
	}
	w.do(t, n, "CLUSTER", "MEET", host, port, bus)
	locktest.Eventually(t, locktest.Electing, "all know it, and it knows that all is well", func() bool {
		for _, other := range others {
			if !strings.Contains(w.plain[other].ClusterNodes(t.Context()).Val(), n.ID) {
				return false
			}
		}
		return strings.Contains(w.plain[n].ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
}
