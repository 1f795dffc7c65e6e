package cluster_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var (
	failoverCount = flag.Int("failovers", 3, "TestWakeUp: so many fail-overs")
	wakeUpSeed    = flag.Uint64("wakeup.seed", uint64(time.Now().UnixNano())%1e9, "TestWakeUp: repeats a run") //nolint:gosec // not negative
)

// TestWakeUp: a master sleeps through a fail-over, with requests in its sockets, and wakes. What it answers then is no
// grant: a client that has not heard of the fail-over asks other masters first. A client without that check has locks
// that others hold; a resource that checks tokens lets only one of the two write.
func TestWakeUp(t *testing.T) {
	t.Parallel()
	t.Logf("-wakeup.seed=%d", *wakeUpSeed)
	rnd := rand.New(rand.NewPCG(*wakeUpSeed, 1)) //nolint:gosec // it is to be repeatable
	w := &wakeUp{world: startWorld(t, servers.Args("--cluster-node-timeout", "1000")), overlaps: map[*party]int{}}
	w.holder = w.open(t, 30*time.Second)
	w.checked = startParty(t, buildParty(t), w.env, 9*time.Second)
	w.unchecked = startParty(t, buildParty(t, unchecked), w.env, 9*time.Second)
	for n := range *failoverCount {
		w.round(t, n, knows(n%3), rnd)
	}
	t.Logf("%d fail-overs: %d overlaps with the check, %d without, %d writes refused", *failoverCount, w.overlaps[w.checked], w.overlaps[w.unchecked], w.refused)
	if n := w.overlaps[w.checked]; n > 0 {
		t.Errorf("%d grants of a master that slept through its fail-over", n)
	}
	if w.overlaps[w.unchecked] == 0 {
		t.Error("a client that does not check has no grant of a master that slept either: nothing was tested")
	}
}

// knows is what a party knows of the fail-over.
type knows int

const (
	never    knows = iota // no other node can be reached
	atWaking              // when the old master wakes, and no sooner
	atOnce
)

type wakeUp struct {
	*world
	holder             *fencelock.Client // who reaches all nodes
	checked, unchecked *party
	overlaps           map[*party]int
	refused            int // writes
}

// round is a fail-over of the first part of the slots.
func (w *wakeUp) round(t *testing.T, n int, k knows, rnd *rand.Rand) {
	const keys = 8
	parties := []*party{w.checked, w.unchecked}
	names := make([][]string, len(parties))
	tag := w.keyAt(t, 0, fmt.Sprint("tag", n))
	old := w.Master(t, w.slot(t, tag))
	next := w.ReplicasOf(t, old)[0]
	for i, p := range parties {
		for j := range keys {
			names[i] = append(names[i], w.keyAt(t, 0, fmt.Sprint(n, ".", i, ".", j)))
		}
		// So many connections that each request below finds one.
		p.order(append([]string{"lock", "3000"}, names[i]...)...)
		if got := p.outcome(); len(got) != keys {
			t.Fatalf("fail-over %d: a party has %v before it begins", n, got)
		}
		p.order("unlock")
	}
	w.replicate(t, old, tag)
	if k != atOnce {
		for _, p := range parties {
			p.order(append([]string{"cut"}, w.addrsBut(old)...)...)
		}
	}
	old.Pause(t)
	asleep := time.Now()
	ask := func() {
		time.Sleep(time.Duration(200+rnd.IntN(700)) * time.Millisecond)
		for i, p := range parties {
			p.order(append([]string{"lock", "4000"}, names[i]...)...)
		}
	}
	if k == atOnce {
		ask()
	}
	w.MasterAfter(t, w.slot(t, tag), old)
	elected := time.Since(asleep)
	leases := map[string]*fencelock.Lease{}
	if k != atOnce { // else the parties are in the new master's queue already, or have the locks
		for _, list := range names {
			for _, key := range list {
				leases[key] = locktest.Lock(t, w.holder, key)
			}
		}
		ask() // so late that somebody still waits for the answer when the master wakes: a request may take three seconds
		time.Sleep(time.Duration(50+rnd.IntN(500)) * time.Millisecond)
	}
	if k == atWaking {
		for _, p := range parties {
			p.order("heal")
		}
	}
	old.Unpause(t)
	t.Logf("fail-over %d: the new master after %v, the old one awake after %v", n, elected.Round(time.Millisecond), time.Since(asleep).Round(time.Millisecond))
	for i, p := range parties {
		w.compare(t, p, names[i], leases)
	}
	for _, p := range parties {
		p.order("heal")
		p.order("unlock")
	}
	for _, l := range leases {
		locktest.Unlock(t, l)
	}
	w.AwaitWhole(t)
	if got := w.Master(t, w.slot(t, tag)); got != next {
		t.Errorf("fail-over %d: the master is %s, want %s", n, got.Peer, next.Peer)
	}
}

// addrsBut are the addresses of all nodes but one.
func (w *wakeUp) addrsBut(one *servers.RedisNode) (all []string) {
	for _, n := range w.Nodes {
		if n.ID != one.ID {
			all = append(all, n.Told())
		}
	}
	return all
}

// compare counts the locks that both a party and the holder have, and has both write: the resource takes the write of one.
func (w *wakeUp) compare(t *testing.T, p *party, names []string, leases map[string]*fencelock.Lease) {
	t.Helper()
	got := p.outcome()
	for _, key := range names {
		token, has := got[key]
		l := leases[key]
		if !has || l == nil || l.Err() != nil || p.order("held", key) != "true" {
			continue
		}
		w.overlaps[p]++
		var gate fencing.Gate
		// Each reads, and then each writes.
		reads := []error{gate.Admit(key, l.Token()), gate.Admit(key, token)}
		writes := []error{gate.Admit(key, l.Token()), gate.Admit(key, token)}
		refused := 0
		for i, err := range writes {
			if errors.Is(err, fencing.ErrStale) || errors.Is(reads[i], fencing.ErrStale) {
				refused++
			}
		}
		w.refused += refused
		if refused != 1 {
			t.Errorf("%s: tokens %v and %v: %d are refused", key, l.Token(), token, refused)
		}
	}
}
