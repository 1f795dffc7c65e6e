package redlock_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// empty has a node come back with nothing, as after its disk was replaced.
func (w *env) empty(t *testing.T, i int) {
	t.Helper()
	if err := w.admins[i].FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.masters[i].Kill(t)
	w.masters[i].Restart(t)
}

// expectNothingOn wants a node to be left alone: there are no locks on it, and no counters.
func (w *env) expectNothingOn(t *testing.T, i int) {
	t.Helper()
	for _, kind := range []string{"l:*", "t:*"} {
		if names, err := w.admins[i].Keys(t.Context(), w.name(kind)).Result(); err != nil || len(names) > 0 {
			t.Errorf("%s has %q, %v; it is not to be used", w.masters[i].Addr(), names, err)
		}
	}
}

// TestEmptiedMaster: a node of a fenced list has lost its data. It is never asked again, since its
// counter may be behind; the log says what to do, and so does Open. The others go on.
func TestEmptiedMaster(t *testing.T) {
	t.Parallel()
	w := ownEnv(t, 3)
	holder, other := w.proxied(t, shortTTL), w.proxied(t, shortTTL)
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	w.empty(t, 0)
	back := time.Now()
	locktest.AwaitRenewal(t, held, shortTTL, back)
	for range 10 {
		book.TakeTurns(t, locktest.Soon, "turns", holder.Client, other.Client)
	}
	for _, c := range []*proxiedClient{holder, other} {
		locktest.Eventually(t, 2*locktest.Soon, "the log says what to do", func() bool {
			return strings.Contains(c.log.String(), "lost its data") && strings.Contains(c.log.String(), "redlock replace")
		})
	}
	time.Sleep(time.Until(back.Add(shortTTL + shortTTL/2))) // longer than the longest lease that it had granted
	w.expectNothingOn(t, 0)

	late := w.proxied(t, shortTTL) // opens with two of three
	locktest.Eventually(t, locktest.Soon, "a client that comes later says so too", func() bool {
		return strings.Contains(late.log.String(), "lost its data")
	})
	book.TakeTurns(t, locktest.Soon, "turns", late.Client)
	for _, c := range []*proxiedClient{holder, other, late} {
		if n := strings.Count(c.log.String(), "lost its data"); n > 2 { // as a warning of Open, and in its own line
			t.Errorf("the log says it %d times:\n%s", n, c.log)
		}
	}
	locktest.Unlock(t, held)

	// Another one: two of three know nothing, and nothing is granted, ever.
	w.empty(t, 1)
	locktest.Eventually(t, 2*locktest.Soon, "there is no quorum", func() bool {
		l, err := other.TryLock(t.Context(), "turns")
		if err == nil {
			t.Fatalf("token %v of one master", l.Token())
		}
		return strings.Count(err.Error(), "lost its data") == 2
	})
	_, err := other.TryLock(t.Context(), "turns")
	t.Log(err, other.links.addrs())
	expectMissing(t, err, other.links[0].Addr(), other.links[1].Addr())
	if errors.Is(err, fencelock.ErrUnavailable) {
		t.Errorf("%v; it will not help to ask again", err)
	}
	w.expectNothingOn(t, 1)
}

// TestOldFile: a node of a fenced list comes back with an old file, from before many grants, of
// which another of the three has not heard either. Tokens go on to rise.
func TestOldFile(t *testing.T) {
	t.Parallel()
	args := servers.Args("--enable-protected-configs", "yes")
	w := newEnv(t, servers.StartMasters(t, kinds(t, 3), durable(), args))
	book := locktest.Ledger{TokensOnly: true}
	first := w.proxied(t, longTTL)
	turns := func(c *proxiedClient, n int) {
		t.Helper()
		for range n {
			book.TakeTurns(t, locktest.Soon, "k", c.Client)
		}
	}
	turns(first, 3)
	before := w.counters(t, 0)
	// From now on its file is another one, which it does not look for when it is started.
	for _, set := range [][2]string{{"appendonly", "no"}, {"dir", "/tmp"}, {"appendonly", "yes"}} {
		if err := w.admins[0].ConfigSet(t.Context(), set[0], set[1]).Err(); err != nil {
			t.Fatalf("CONFIG SET %v: %v", set, err)
		}
	}
	locktest.Eventually(t, locktest.Soon, "the new file is written", func() bool {
		info := w.admins[0].Info(t.Context(), "persistence").Val()
		return strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0")
	})
	first.links[1].Blackhole()
	turns(first, 30) // with the first and the third
	most := w.counters(t, 0)

	w.masters[0].Kill(t)
	first.links[1].Heal()
	w.masters[0].Restart(t)
	if now := w.counters(t, 0); now >= most {
		t.Logf("the counter was %d and %d, and is %d already", before, most, now) // a client was quick to raise it
	}
	// All three can be asked for as long as it takes to trust the first again.
	locktest.Eventually(t, 2*locktest.Soon, "the first is used again", func() bool {
		turns(first, 1)
		l := locktest.Lock(t, first, "looked for")
		defer locktest.Unlock(t, l)
		return w.record(0, "looked for") != ""
	})
	if now := w.counters(t, 0); now < most {
		t.Errorf("the counter was %d, then %d, and is %d while it is used", before, most, now)
	}
	second := w.proxied(t, longTTL) // which remembers nothing
	second.links[2].Blackhole()
	turns(second, 3)
}

// counters is the sum of the counters on a node.
func (w *env) counters(t *testing.T, i int) (sum uint64) {
	t.Helper()
	names, err := w.admins[i].Keys(t.Context(), w.name("t:*")).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		n, err := w.admins[i].Get(t.Context(), name).Uint64()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sum += n
	}
	return sum
}
