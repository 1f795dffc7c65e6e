package recipe_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// instant is a node that says yes to all, at once and without an allocation.
type instant struct{ name string }

var doneTake, doneEnd any = wire.TakeReply{Outcome: wire.Done, Count: 7}, wire.Reply{Outcome: wire.Done}

func (i *instant) Name() string { return i.name }
func (i *instant) Fit() error   { return nil }

func (i *instant) Send(_ context.Context, r wire.Request, _ time.Duration, done func(any, error)) {
	switch r.(type) {
	case wire.Take:
		done(doneTake, nil)
	default:
		done(doneEnd, nil)
	}
}

func newInstant(n int) *recipe.Backend {
	nodes := make([]wire.Node, n)
	for i := range nodes {
		nodes[i] = &instant{strconv.Itoa(i)}
	}
	return recipe.New(recipe.Config{Nodes: nodes, Channel: "me", Info: info})
}

// What a lock and its release cost this side of the nodes. It is about a kilobyte and a closure for each
// request; and no goroutine.
func TestAllocations(t *testing.T) {
	b := newInstant(3)
	defer b.Close()
	owners := make([]string, 3000)
	for i := range owners {
		owners[i] = strconv.Itoa(i)
	}
	next := 0
	before := runtime.NumGoroutine()
	allocs := testing.AllocsPerRun(1000, func() {
		g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: owners[next], TTL: 10 * time.Second, Wait: true})
		if err == nil {
			err = b.Release(t.Context(), g)
		}
		if err != nil {
			t.Error(err)
		}
		next++
	})
	t.Logf("%v allocations", allocs)
	if allocs > 15 {
		t.Errorf("a lock and its release cost %v allocations", allocs)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines are left", n-before)
	}
}

func BenchmarkAlone(b *testing.B) {
	for _, n := range []int{3, 5} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			c := newInstant(n)
			defer c.Close()
			b.ReportAllocs()
			for i := range b.N {
				if err := c.Release(b.Context(), lockOnce(b, c, strconv.Itoa(i))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
