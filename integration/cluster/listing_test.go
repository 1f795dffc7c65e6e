package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestListingThroughChange: while a listing runs, a replica is promoted, or slots move. What the listing comes to has all locks
// that are held throughout, or else it says that it is to begin again, and then has them.
func TestListingThroughChange(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	order := []*servers.RedisNode{&w.Nodes[0], &w.Nodes[1], &w.Nodes[2]} // in which they are listed
	slices.SortFunc(order, func(a, b *servers.RedisNode) int { return strings.Compare(a.ID, b.ID) })
	last := slices.Index([]*servers.RedisNode{&w.Nodes[0], &w.Nodes[1], &w.Nodes[2]}, order[2])
	moving := w.keyAt(t, last, "held-moving")
	keys := tagged(moving, "held", 20)
	for i := range 600 {
		keys = append(keys, fmt.Sprint("held", i))
	}
	held := map[string]bool{}
	c := w.open(t, time.Minute)
	var leases []*fencelock.Lease
	for _, key := range keys {
		leases = append(leases, locktest.Lock(t, c, key))
		held[key] = true
	}
	slot := w.slot(t, moving)
	move := func(to *servers.RedisNode) error {
		return w.move(way{"KeyByKey", moveKeys}, slot, slot, w.Master(t, slot), to)
	}
	lister := w.dial(t)
	for _, change := range []struct {
		name  string
		pages int // before it
		do    func() error
	}{
		{"NoChange", 1, nil},
		// When some twenty of sixty pages have come from each.
		{"MovedToOneThatIsDone", 35, func() error { return move(order[0]) }},
		{"MovedToOneThatIsNot", 35, func() error { return move(order[2]) }},
		{"PromotedAtOnce", 1, func() error { w.Promote(t, w.ReplicasOf(t, w.Master(t, 0))[0]); return nil }},
		{"PromotedLate", 40, func() error { w.Promote(t, w.ReplicasOf(t, w.Master(t, 0))[0]); return nil }},
	} {
		t.Run(change.name, func(t *testing.T) { listThrough(t, lister, held, change.pages, change.do) })
	}
	for _, l := range leases {
		locktest.Unlock(t, l)
	}
}

func listThrough(t *testing.T, b driver.Backend, held map[string]bool, after int, change func() error) {
	began := time.Now() // or when it has changed
	for try := 1; ; try++ {
		found := map[string]bool{}
		cursor, err := "", error(nil)
		pages := 0
		for pages == 0 || cursor != "" {
			var page driver.Page
			if page, err = b.ListHeld(t.Context(), "held", cursor, 10); err != nil {
				break
			}
			for _, s := range page.Locks {
				found[s.Key] = true
			}
			cursor = page.Next
			if pages++; pages == after && change != nil {
				if err := change(); err != nil {
					t.Fatal(err)
				}
				change, began = nil, time.Now()
			}
		}
		switch {
		case err == nil:
			for key := range held {
				if !found[key] {
					t.Errorf("%s is missing", key)
				}
			}
			t.Logf("listing %d has come to its end, after %v", try, round(time.Since(began)))
			return
		case !errors.Is(err, driver.ErrUnavailable):
			t.Fatalf("ListHeld: %v, want ErrUnavailable", err)
		case time.Since(began) > locktest.Electing:
			t.Fatalf("ListHeld: %v, after %v", err, time.Since(began))
		}
		t.Logf("page %d of listing %d: %v", pages+1, try, err)
		time.Sleep(50 * time.Millisecond)
	}
}
