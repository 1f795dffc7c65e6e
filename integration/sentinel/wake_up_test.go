package sentinel_test

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
// grant: a client whose Sentinels have not told it of the fail-over asks them first. A client without that check has
// locks that others hold; a resource that checks tokens lets only one of the two write.
func TestWakeUp(t *testing.T) {
	t.Parallel()
	t.Logf("-wakeup.seed=%d", *wakeUpSeed)
	rnd := rand.New(rand.NewPCG(*wakeUpSeed, 1)) //nolint:gosec // it is to be repeatable
	e := startEnv(t, "", servers.DownAfter(500*time.Millisecond))
	e.Hasten(t)
	w := &wakeUp{env: e, holder: e.open(t, 30*time.Second), overlaps: map[*party]int{}}
	w.checked = startParty(t, buildParty(t), e, 9*time.Second)
	w.unchecked = startParty(t, buildParty(t, unchecked), e, 9*time.Second)
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
	never    knows = iota // no Sentinel can be reached
	atWaking              // when the old master wakes, and no sooner
	atOnce
)

type wakeUp struct {
	*env
	holder             *fencelock.Client // whom the Sentinels tell everything
	checked, unchecked *party
	overlaps           map[*party]int
	refused            int // writes
}

// round is a fail-over.
func (w *wakeUp) round(t *testing.T, n int, k knows, rnd *rand.Rand) {
	const keys = 8
	parties := []*party{w.checked, w.unchecked}
	names := make([][]string, len(parties))
	old := w.Master(t)
	for i, p := range parties {
		for j := range keys {
			names[i] = append(names[i], fmt.Sprint(n, ".", i, ".", j))
		}
		warm := fmt.Sprint("warm", n, ".", i)
		p.order("lock", "3000", warm)
		if got := p.outcome(); len(got) != 1 {
			t.Fatalf("fail-over %d: a party has %v before it begins", n, got)
		}
		p.order("unlock")
	}
	w.replicate(t, old)
	if k != atOnce {
		for _, p := range parties {
			p.order("cut")
		}
	}
	old.Pause(t)
	asleep := time.Now()
	// Late enough for what is in the sockets to have somebody who waits for it when the master wakes: a request may take
	// three seconds, a third of the TTL.
	time.Sleep(time.Duration(500+rnd.IntN(700)) * time.Millisecond)
	for i, p := range parties {
		p.order(append([]string{"lock", "4000"}, names[i]...)...)
	}
	w.MasterAfter(t, old)
	elected := time.Since(asleep)
	leases := map[string]*fencelock.Lease{}
	if k != atOnce { // else the parties are in the new master's queue already, or have the locks
		for _, list := range names {
			for _, key := range list {
				leases[key] = locktest.Lock(t, w.holder, key)
			}
		}
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
	w.Demote(t, old)
	w.AwaitWhole(t)
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
