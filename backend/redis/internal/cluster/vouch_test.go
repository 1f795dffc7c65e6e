package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// vouch asks whether the node at an address is a master, for half a second at the most.
func vouch(t *testing.T, c *Cluster, addr string) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = c.vouch(ctx, addr)
	return time.Since(began), err
}

func flagged(sees []claim, addr, flags string) []claim {
	sees = slices.Clone(sees)
	for i := range sees {
		if sees[i].addr == addr {
			sees[i].flags = flags
		}
	}
	return sees
}

// Of three masters one other is enough; and one that knows more is too much.
func TestVouchOfThree(t *testing.T) {
	down, silent := func(f *fake) { f.down = true }, func(f *fake) { f.silent = true }
	for name, tc := range map[string]struct {
		change func(w *world)
		sure   bool
		within time.Duration
		says   string
	}{
		"both say so":                        {func(*world) {}, true, 0, ""},
		"one is not there":                   {func(w *world) { w.change(down, b1) }, true, 0, ""},
		"one is silent":                      {func(w *world) { w.change(silent, b1) }, true, 0, ""},
		"nobody is there":                    {func(w *world) { w.change(down, b1, c1, r1) }, false, 500 * time.Millisecond, "connection refused"},
		"nobody says anything":               {func(w *world) { w.change(silent, b1, c1, r1) }, false, 500 * time.Millisecond, "deadline"},
		"only the replica, which elects not": {func(w *world) { w.change(down, b1, c1) }, false, 500 * time.Millisecond, "connection refused"},
		"both have no answer from it": {
			func(w *world) { w.change(see(flagged(threeMasters(), a1, "master,fail?")), b1, c1, r1) }, false, 500 * time.Millisecond, "no answer",
		},
		"both say that it has failed": {
			func(w *world) { w.change(see(flagged(threeMasters(), a1, "master,fail")), b1, c1, r1) }, false, 500 * time.Millisecond, "no answer",
		},
		"one has no answer from it": {func(w *world) { w.change(see(flagged(threeMasters(), a1, "master,fail?")), b1) }, true, 0, ""},
		"all name another":          {func(w *world) { w.change(see(failedOver()), b1, c1, r1) }, false, 0, "another's"},
		"a part of its slots is another's": {func(w *world) {
			w.change(see([]claim{{a1, "master", 1, 1, 5460}, {b1, "master", 4, 5461, 10922}, {c1, "master", 3, 10923, 16383}, {r1, "slave", 1, 0, 0}}), b1, c1, r1)
		}, false, 0, "another's"},
		"its own word does not count": {func(w *world) { w.change(down, b1, c1, r1); w.change(see(threeMasters()), a1) }, false, 500 * time.Millisecond, ""},
	} {
		w := newWorld(threeMasters()...)
		inWorld(t, w, func(t *testing.T, c *Cluster) {
			tc.change(w)
			took, err := vouch(t, c, a1)
			if tc.sure != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.says) || took != tc.within {
				t.Errorf("%s: %v after %v", name, err, took)
			}
		})
	}
}

// With n masters, n-n/2-1 others are needed: so many that one of them has voted if a majority has.
func TestVouchNeeds(t *testing.T) {
	for n := 1; n <= 7; n++ {
		var sees []claim
		for i := range n {
			sees = append(sees, claim{fmt.Sprintf("192.0.2.%d:6379", i+1), "master", i + 1, i * Slots / n, (i+1)*Slots/n - 1})
		}
		voters := n/2 + 1 // of the n-1 others, where there are so many
		for alive := range n {
			w := newWorld(sees...)
			inWorld(t, w, func(t *testing.T, c *Cluster) {
				for _, x := range sees[1+alive:] {
					w.change(func(f *fake) { f.down = true }, x.addr)
				}
				_, err := vouch(t, c, a1)
				// Those who are not there could have elected another.
				if unsafe := n-1-alive >= voters; unsafe != (err != nil) {
					t.Errorf("%d masters, %d others say so: %v", n, alive, err)
				}
			})
		}
	}
}

// A Cluster that has grown has more who elect than the map knows.
func TestVouchAfterGrowth(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		grown := []claim{
			{a1, "master", 1, 0, 5460},
			{b1, "master", 2, 5461, 10922},
			{c1, "master", 3, 10923, 14000},
			{"192.0.2.5:6379", "master", 4, 14001, 15000},
			{"192.0.2.6:6379", "master", 5, 15001, 16383},
		}
		w.change(see(grown))
		w.change(func(f *fake) { f.down = true }, c1)
		if _, err := vouch(t, c, a1); err == nil {
			t.Error("one of five is enough, and three may have elected another")
		}
	})
}

// A master that has just been elected is not known to all: they are asked again.
func TestVouchForANewMaster(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(func(f *fake) { f.says = func(key string, _ bool) string { return moved(key, r1) } }, a1)
		w.change(see(failedOver()), r1, a1)
		time.AfterFunc(200*time.Millisecond, func() { w.change(see(failedOver()), b1, c1) })
		if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took < 200*time.Millisecond || took > 250*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// An answer of a master that was silent for long, and has been replaced meanwhile, does not count. Nobody need have noticed before.
func TestSleeperIsNotBelieved(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		if _, err := eval(t.Context(), c, time.Second, keyA); err != nil {
			t.Fatal(err)
		}
		w.change(see(failedOver()), b1, c1, r1) // a1 does not know
		time.Sleep(900 * time.Millisecond)      // less than Silence: it counts, as no fail-over can have been by then
		if _, err := eval(t.Context(), c, time.Second, keyA); err != nil {
			t.Error(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if _, err := eval(t.Context(), c, time.Second, keyA); !errors.Is(err, node.ErrReplaced) {
			t.Errorf("%v; want ErrReplaced", err)
		}
		time.Sleep(mostLook)
		if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took > 0 {
			t.Errorf("at the new master: %v after %v", err, took)
		}
		expectScripts(t, w, a1+" "+keyA, a1+" "+keyA, a1+" "+keyA, r1+" "+keyA)
	})
}
