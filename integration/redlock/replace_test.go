package redlock_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// operator runs the operator's command, which is built for the test.
type operator struct {
	t       *testing.T
	program string
}

func newOperator(t *testing.T) operator {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./backend/redis/cmd/redlock")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	return operator{t, filepath.Join(dir, "redlock")}
}

// run returns what it says, on both of its outputs.
func (o operator) run(args ...string) (said string, err error) {
	o.t.Helper()
	out, err := exec.CommandContext(o.t.Context(), o.program, args...).CombinedOutput()
	o.t.Logf("redlock %s: %v\n%s", args[0], err, out)
	return string(out), err
}

// TestReplace: a node that is gone for good is replaced by a new one, while locks are held. The
// holders hold, tokens go on to rise, also where the new one's vote decides, and the old one is
// refused when it is back.
func TestReplace(t *testing.T) {
	t.Parallel()
	all := servers.StartMasters(t, kinds(t, 4), durable())
	ttl := 2 * shortTTL // the longest there is: the command waits for it
	w := newEnv(t, all[:3], "max_ttl", ttl.String())
	holder, other := w.proxied(t, ttl), w.proxied(t, ttl)
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	for range 20 {
		book.TakeTurns(t, locktest.Soon, "turns", holder.Client, other.Client)
	}
	gone := all[2]
	gone.Kill(t)
	next := newEnv(t, []*servers.Server{all[0], all[1], all[3]})
	next.ns, next.query = w.ns, w.query
	operate, new := newOperator(t), next.url(next.addrs()...)

	// Before, the new one is no part of anything, though a client names it.
	early := next.proxied(t, ttl)
	book.TakeTurns(t, locktest.Soon, "turns", early.Client)
	next.expectNothingOn(t, 2)
	if !strings.Contains(early.log.String(), "redlock replace") {
		t.Errorf("a client with the new list says %q; want the cure", early.log)
	}

	stop := keepTurning(t, &book, "turns", holder, other)
	if said, err := operate.run("replace", new); err != nil {
		t.Fatalf("replace: %v: %s", err, said)
	}
	if said, err := operate.run("status", new); err != nil || !contains(said, next.addrs()...) || !strings.Contains(said, "version 2") {
		t.Errorf("status: %v: %s", err, said)
	}
	if said, err := operate.run("replace", new); err != nil {
		t.Errorf("replace once more: %v: %s", err, said)
	}
	t.Logf("%d turns meanwhile", stop())
	if err := held.Err(); err != nil {
		t.Errorf("a lease that was held all the time: %v", err)
	}
	late := next.proxied(t, ttl)
	l := locktest.Lock(t, late, "new")
	book.Record(t, l)
	next.awaitEverywhere(t, ttl+locktest.Soon, l)
	locktest.Unlock(t, l)
	book.TakeTurns(t, locktest.Soon, "turns", late.Client, early.Client)
	locktest.Unlock(t, held)

	// Now one of the others goes, so that the new one decides.
	all[0].Kill(t)
	book.TakeTurns(t, locktest.Soon, "turns", late.Client, early.Client)
	book.TakeTurns(t, locktest.Soon, "k", late.Client)
	all[0].Restart(t)

	gone.Restart(t)
	locktest.Eventually(t, 2*locktest.Soon, "one that does not know of the replacement goes on with two of its three", func() bool {
		lease, err := other.TryLock(t.Context(), "turns")
		if err != nil {
			return false
		}
		book.Record(t, lease)
		locktest.Unlock(t, lease)
		return true
	})
	locktest.Eventually(t, 2*locktest.Soon, "the old one is refused", func() bool { return logSays(other, other.links[2], "no part of the list any more") })
	if n := w.admins[2].Exists(t.Context(), w.name("l:k")).Val(); n > 0 {
		time.Sleep(ttl) // it has come back with what it had
	}
	lease := locktest.Lock(t, other, "k")
	book.Record(t, lease)
	time.Sleep(ttl / 2)
	if w.record(2, "k") != "" {
		t.Error("the old master has a new lock")
	}
	locktest.Unlock(t, lease)
}

// TestReplaceRefuses: what would make two lists, or has no majority, is refused, and nothing is done.
func TestReplaceRefuses(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 5)
	operate, a := newOperator(t), w.addrs()
	c := locktest.Open(t, w.url(a[:3]...), "", longTTL)
	for what, list := range map[string][]string{
		"two of three":       {a[0], a[3], a[4]},
		"more than before":   a,
		"none that is in it": {a[3], a[4], w.links(t)[4].Addr()},
		"one that is down":   {a[0], a[1], "127.0.0.1:1"},
	} {
		if said, err := operate.run("replace", w.url(list...)); err == nil {
			t.Errorf("%s: it works: %s", what, said)
		}
	}
	if said, err := operate.run("replace", w.url(a[:3]...)); err != nil || !strings.Contains(said, "nothing to do") {
		t.Errorf("without a change: %v: %s", err, said)
	}
	locktest.Unlock(t, locktest.Lock(t, c, "k"))
	for _, i := range []int{3, 4} {
		for _, key := range []string{"node", "list"} {
			if w.admins[i].Exists(t.Context(), w.name(key)).Val() > 0 {
				t.Errorf("%s has %s", a[i], key)
			}
		}
	}
}
