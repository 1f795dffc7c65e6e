package cluster_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

var (
	faultCount = flag.Int("faults", 4, "TestFaults: so many")
	faultSeed  = flag.Uint64("faults.seed", uint64(time.Now().UnixNano())%1e9, "TestFaults: draws the same faults again") //nolint:gosec // not negative
)

// TestFaults: things go wrong in an order that is drawn, while holders of a few locks come and go, and keep theirs for long now and
// then, or sleep through their leases. Where nothing is lost that a master has granted, no two leases of a lock
// are valid at the same time. Where a fail-over loses some, the resource refuses the late writes.
func TestFaults(t *testing.T) {
	t.Parallel()
	t.Run("NothingLost", func(t *testing.T) {
		t.Parallel()
		// So long that nobody is given up who only sleeps for a moment.
		f := startFaults(t, servers.Args("--cluster-node-timeout", "10000"))
		f.run(t, f.agreed, f.reshard, f.nap, f.loseReplica, f.cutConnections)
		for _, o := range f.history.CheckLossy(t) {
			t.Errorf("%v", o)
		}
	})
	t.Run("FailOvers", func(t *testing.T) {
		t.Parallel()
		f := startFaults(t, servers.Args("--cluster-node-timeout", "1000"))
		f.run(t, f.kill, f.pause, f.forced, f.stale, f.agreed, f.reshard, f.loseReplica)
		overlaps := f.history.CheckLossy(t)
		for _, o := range overlaps {
			t.Logf("%v", o)
			if !f.excuse(o) {
				t.Errorf("no fail-over explains that %v", o)
			}
		}
		t.Logf("%d overlaps", len(overlaps))
	})
}

// faults are a Cluster, what has happened to it, and those who use it meanwhile.
type faults struct {
	*world
	rnd      *rand.Rand
	keys     []string
	slotOf   map[string]int
	history  *locktest.History
	lossy    []loss
	clients  []*fencelock.Client
	ways     []*proxy.Ways // of each client
	happened map[string]int
}

// loss is a fail-over, in which the new master may not know all that the old one has granted.
type loss struct {
	shard       int // as at the beginning
	began, over time.Time
}

const faultsTTL = 4 * time.Second

func startFaults(t *testing.T, opts ...servers.Option) *faults {
	t.Helper()
	t.Logf("-faults.seed=%d", *faultSeed)
	f := &faults{
		world: startWorld(t, opts...), rnd: rand.New(rand.NewPCG(*faultSeed, 7)), //nolint:gosec // it is to be repeatable
		slotOf: map[string]int{}, happened: map[string]int{},
	}
	for shard := range 3 {
		for i := range 2 {
			key := f.keyAt(t, shard, fmt.Sprint("key", shard, i))
			f.keys, f.slotOf[key] = append(f.keys, key), f.slot(t, key)
		}
	}
	f.history = locktest.NewHistory(f.keys...)
	for range 3 {
		ways := locktest.Ways(t, proxy.RESP)
		f.clients, f.ways = append(f.clients, locktest.New(t, f.through(t, ways), faultsTTL)), append(f.ways, ways)
	}
	return f
}

// run has faults happen, one after the other, and returns when all is well again, and all users are gone.
func (f *faults) run(t *testing.T, all ...func(t *testing.T, key string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var using sync.WaitGroup
	for i := range f.clients {
		for range 3 {
			rnd := rand.New(rand.NewPCG(f.rnd.Uint64(), 0)) //nolint:gosec // it is to be repeatable
			using.Go(func() {
				for ctx.Err() == nil {
					f.use(ctx, t, i, rnd)
				}
			})
		}
	}
	time.Sleep(time.Second)
	order := f.rnd.Perm(len(all))
	for n := range *faultCount {
		if n%len(all) == 0 {
			order = f.rnd.Perm(len(all))
		}
		all[order[n%len(all)]](t, f.keys[f.rnd.IntN(len(f.keys))])
		f.AwaitWhole(t)
		time.Sleep(time.Duration(f.rnd.IntN(1000)) * time.Millisecond)
		if t.Failed() {
			break
		}
	}
	cancel()
	using.Wait()
	grants, lost, refused := f.history.Counts()
	t.Logf("%v: %d grants, %d leases lost, %d late writes refused", f.happened, grants, lost, refused)
	if grants < 50 {
		t.Error("too little has happened: this run shows nothing")
	}
}

// use has a client hold one of the locks, for a moment or for long.
func (f *faults) use(ctx context.Context, t *testing.T, client int, rnd *rand.Rand) {
	f.history.Hold(ctx, t, f.clients[client], f.keys[rnd.IntN(len(f.keys))], func(l *fencelock.Lease) {
		switch p := rnd.IntN(100); {
		case p < 2:
			f.ways[client].Blackhole()
			f.history.SleepThrough(l)
			f.ways[client].Heal()
		case p < 20:
			rest(ctx, time.Duration(rnd.IntN(3000))*time.Millisecond)
		case p < 40:
			rest(ctx, time.Duration(rnd.IntN(300))*time.Millisecond)
		default:
			rest(ctx, time.Duration(rnd.IntN(3))*time.Millisecond)
		}
	})
}

// excuse reports whether a fail-over came between the two grants, to the master of the lock.
func (f *faults) excuse(o locktest.Overlap) bool {
	for _, l := range f.lossy {
		if l.shard == f.shardOf(f.slotOf[o.Key]) && o.Since.Before(l.over) && o.At.After(l.began) {
			return true
		}
	}
	return false
}

// shardOf is which of the masters has a slot at the beginning.
func (f *faults) shardOf(slot int) int { return (3*slot + 2) / slots }

// failOver has begin make another the master of a lock, until over.
func (f *faults) failOver(t *testing.T, what, key string, begin func(old, next *servers.RedisNode) (over func())) {
	t.Helper()
	slot := f.slotOf[key]
	old := f.Master(t, slot)
	next := f.ReplicasOf(t, old)[0]
	l := loss{shard: f.shardOf(slot), began: time.Now()}
	over := begin(old, next)
	f.MasterAfter(t, slot, old)
	l.over = time.Now()
	f.lossy = append(f.lossy, l)
	time.Sleep(time.Duration(f.rnd.IntN(1000)) * time.Millisecond)
	over()
	f.happened[what]++
}

func (f *faults) kill(t *testing.T, key string) {
	f.failOver(t, "killed", key, func(old, _ *servers.RedisNode) func() {
		old.Kill(t)
		return func() { old.Restart(t) }
	})
}

func (f *faults) pause(t *testing.T, key string) {
	f.failOver(t, "paused", key, func(old, _ *servers.RedisNode) func() {
		old.Pause(t)
		return func() { old.Unpause(t) }
	})
}

func (f *faults) forced(t *testing.T, key string) {
	f.failOver(t, "forced", key, func(_, next *servers.RedisNode) func() {
		f.do(t, next, "CLUSTER", "FAILOVER", "FORCE")
		return func() {}
	})
}

// stale has a replica take over that has heard nothing for some time.
func (f *faults) stale(t *testing.T, key string) {
	f.failOver(t, "stale", key, func(_, next *servers.RedisNode) func() {
		f.freeze(t, next)
		time.Sleep(time.Duration(f.rnd.IntN(1500)) * time.Millisecond)
		f.do(t, next, "CLUSTER", "FAILOVER", "TAKEOVER")
		return func() { f.thaw(t, next) }
	})
}

// agreed loses nothing: the replica waits until it has all.
func (f *faults) agreed(t *testing.T, key string) {
	f.Promote(t, f.ReplicasOf(t, f.Master(t, f.slotOf[key]))[0])
	f.happened["agreed"]++
}

// reshard moves the slot of a lock, and some beside it, and back.
func (f *faults) reshard(t *testing.T, key string) {
	all := f.world.ways(t)
	by := all[f.rnd.IntN(len(all))]
	slot := f.slotOf[key]
	first := max(f.shardOf(slot)*slots/3, slot-10) // those before it that are of the same master
	from, to := f.Master(t, slot), f.Master(t, (slot+slots/3)%slots)
	if err := errors.Join(f.move(by, first, slot, from, to), f.move(by, first, slot, to, from)); err != nil {
		t.Fatal(err)
	}
	f.happened[by.name] += 2
}

// nap is too short for anybody to notice.
func (f *faults) nap(t *testing.T, key string) {
	master := f.Master(t, f.slotOf[key])
	master.Pause(t)
	time.Sleep(time.Duration(f.rnd.IntN(1500)) * time.Millisecond)
	master.Unpause(t)
	f.happened["napped"]++
}

func (f *faults) loseReplica(t *testing.T, key string) {
	replica := f.ReplicasOf(t, f.Master(t, f.slotOf[key]))[0]
	replica.Kill(t)
	time.Sleep(time.Duration(f.rnd.IntN(1000)) * time.Millisecond)
	replica.Restart(t)
	f.happened["lost a replica"]++
}

func (f *faults) cutConnections(t *testing.T, _ string) {
	t.Helper()
	for range 20 {
		f.ways[f.rnd.IntN(len(f.ways))].Reset()
		time.Sleep(time.Duration(f.rnd.IntN(100)) * time.Millisecond)
	}
	f.happened["cut connections"]++
}
