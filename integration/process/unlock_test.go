package process_test

import (
	"slices"
	"testing"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// suspendedInUnlock stops a holder while the request that frees its lock is under way.
// That arrives when another has the lock already: before the process goes on, or after
// its Unlock has come to an end.
func suspendedInUnlock(arrivesFirst bool) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		proxies, addrs := w.through(t)
		holder, next := w.clientAt(t, "holder", ttl, addrs), w.client(t, "next", patient)
		held := holder.ask(t, "lock", "granted")
		holder.expect(t, "renewed", soon)
		next.tell(t, "lock")
		w.awaitWaiters(t, 1)

		release := holdAll(proxies, w.releases)
		unlocking := now()
		holder.tell(t, "unlock")
		locktest.Eventually(t, soon, "the request is under way", release.hasFired)
		if err := holder.suspend(); err != nil {
			t.Fatal(err)
		}
		// It trusts its lease no longer: Unlock has begun.
		got := w.expectTakeover(t, next, now(), held, unlocking)
		w.writes(t, next, "ok")
		if arrivesFirst {
			release.deliver()
		}
		if err := holder.resume(); err != nil {
			t.Fatal(err)
		}
		// Whether the lock was held until Unlock began, was lost, or nobody knows, depends
		// on which answer comes first.
		how := holder.expect(t, "unlocked", soon).How
		t.Logf("Unlock: %s", how)
		if !slices.Contains([]string{"ok", "lost", "unknown"}, how) {
			t.Errorf("Unlock: %s", how)
		}
		release.deliver()
		w.mustNotMatter(t, holder, next, held, got)
		w.goesOn(t, holder, next, got)
	}
}

// holds stop one request, whichever member it goes to.
type holds []proxy.Held

func holdAll(proxies []*proxy.Proxy, match func([]byte) bool) (all holds) {
	for _, p := range proxies {
		all = append(all, p.HoldRequest(match, 1))
	}
	return all
}

func (all holds) hasFired() bool { return slices.ContainsFunc(all, fired) }

// deliver does so once.
func (all holds) deliver() {
	for _, h := range all {
		h.ReleaseAlone() // its caller may have given up, and says so right behind it
	}
}

func fired(h proxy.Held) bool {
	select {
	case <-h.Fired():
		return true
	default:
		return false
	}
}
