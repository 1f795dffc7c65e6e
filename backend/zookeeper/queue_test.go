package zookeeper

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// ends are where the numbers of a queue go over an end of theirs.
var ends = map[string]int32{
	"the range's end":   lastOrdered - 3,
	"the counter's end": math.MaxInt32 - 3,
	"at the end":        math.MaxInt32,
}

// atTheEnd is a server on which the counters of new locks are near their end. Creates
// overlap as by chance. The nodes of locks stay: somebody has put something in them.
func atTheEnd(t *testing.T, from int32) *fake {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	f := newFake()
	f.from, f.overlap = from, func() bool { return rng.IntN(2) == 0 } // called with mu held
	return f
}

func stays(t *testing.T, f *fake) {
	t.Helper()
	for _, p := range []string{"/ns", "/ns/k", "/ns/k/stays"} {
		if _, err := f.Create(p, nil, zk.FlagPersistent, nil); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			t.Fatal(err)
		}
	}
}

// TestCounterEnds: the server that is not one counts as real ones do.
func TestCounterEnds(t *testing.T) {
	f := newFake()
	f.from = math.MaxInt32 - 1
	if _, err := f.Create("/k", nil, zk.FlagPersistent, nil); err != nil {
		t.Fatal(err)
	}
	overlap := false
	f.overlap = func() bool { return overlap }
	for i, step := range []struct {
		overlap bool
		want    int32
	}{
		{false, math.MaxInt32 - 1},
		{false, math.MaxInt32},
		{false, math.MaxInt32},
		{true, math.MinInt32},
		{true, math.MinInt32 + 1},
		{false, math.MaxInt32},
		{true, math.MinInt32},
	} {
		overlap = step.overlap
		prefix := fmt.Sprintf("/k/%d#+", i)
		got, err := f.Create(prefix, nil, zk.FlagEphemeralSequential, nil)
		if want := fmt.Sprintf("%s%010d", prefix, step.want); err != nil || got != want {
			t.Errorf("%d: %q, %v; want %q", i, got, err, want)
		}
	}
	overlap = false
	for _, want := range []error{nil, zk.ErrNodeExists} {
		if _, err := f.Create("/k/same#+", nil, zk.FlagEphemeralSequential, nil); !errors.Is(err, want) {
			t.Errorf("a name that is given once more: %v, want %v", err, want)
		}
	}
}

// TestQueueOverTheEnd: claims are granted in the order in which they came, one at a time,
// with tokens that rise, and Inspect tells who holds the lock.
func TestQueueOverTheEnd(t *testing.T) {
	for what, from := range ends {
		for _, unwritable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, unwritable: %v", what, unwritable), func(t *testing.T) {
				f := atTheEnd(t, from)
				f.unwritable = unwritable
				stays(t, f)
				backends := []*backend{on(t, f), on(t, f.another())}
				g := acquire(t, backends[0], "z")
				var waiters []<-chan driver.Grant
				for i := range 8 { // whose names are not in their order either
					waiters = append(waiters, enqueue(t, backends[i%2], fmt.Sprint("w", 9-i), i+1))
				}
				for i, w := range waiters {
					for _, b := range backends {
						if st, err := b.Inspect(soon(t), "k"); err != nil || !st.Held() || st.Holders[0].AttemptID != g.AttemptID || st.Holders[0].Token != g.Token || st.Waiters != len(waiters)-i {
							t.Errorf("Inspect = %+v, %v; want the holder %s with %v and %d behind it", st, err, g.AttemptID, g.Token, len(waiters)-i)
						}
					}
					if i == 4 { // as an operator does, by another client
						if err := backends[1].Evict(soon(t), "k", ""); err != nil {
							t.Errorf("Evict: %v", err)
						}
					} else {
						release(t, backends[(i+1)%2], g)
					}
					next := get(t, w)
					if next.Token <= g.Token {
						t.Errorf("token %v was granted after %v", next.Token, g.Token)
					}
					for _, later := range waiters[i+1:] {
						if len(later) > 0 {
							t.Fatalf("two hold the lock: %s and %s", next.AttemptID, (<-later).AttemptID)
						}
					}
					g = next
				}
			})
		}
	}
}

// TestChurnAtTheEnd: many lock and unlock, and some give up.
func TestChurnAtTheEnd(t *testing.T) {
	for what, from := range ends {
		t.Run(what, func(t *testing.T) {
			f := atTheEnd(t, from)
			stays(t, f)
			const workers, rounds = 6, 15
			var running sync.WaitGroup
			var holders, last atomic.Int64
			for w := range workers {
				b := on(t, f.another())
				running.Go(func() {
					for i := range rounds {
						id := fmt.Sprintf("o%d-%d", w, i)
						ctx := soon(t)
						g, err := b.Acquire(ctx, driver.Request{Key: "k", AttemptID: id, TTL: 10 * time.Second, Wait: i%3 != 2})
						if errors.Is(err, driver.ErrHeld) {
							continue
						}
						if err != nil {
							t.Errorf("%s: %v", id, err)
							return
						}
						if n := holders.Add(1); n != 1 {
							t.Errorf("%d hold the lock", n)
						}
						if was := last.Swap(int64(g.Token)); was >= int64(g.Token) {
							t.Errorf("token %v was granted after %d", g.Token, was)
						}
						time.Sleep(100 * time.Microsecond)
						holders.Add(-1)
						release(t, b, g)
					}
				})
			}
			running.Wait()
			if left := claimsLeft(f); len(left) != 2 { // the guard and its child
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestNameComesAgain: an attempt that lost its position makes a node again, which at the end
// has the name of the old one. A waiter behind the old node is not its successor, and does not
// wait for the new one, which comes behind the waiter.
func TestNameComesAgain(t *testing.T) {
	f := newFake()
	f.from = math.MaxInt32
	b := on(t, f)
	g := acquire(t, b, "a")
	makeAgain := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.nodes["/ns/k/x#+2147483647"] != nil {
			_ = f.delete("/ns/k/x#+2147483647")
		}
		f.zxid++
		if _, err := f.create("/ns/k/x#+", nil, zk.FlagEphemeralSequential); err != nil {
			t.Error(err)
		}
	}
	makeAgain()
	next := enqueue(t, b, "b", 2)
	f.mu.Lock()
	f.tell("/ns/k/x#+2147483647", zk.EventNodeDataChanged) // as after a reconnect, if it was made again meanwhile
	f.mu.Unlock()
	lists := f.count("children")
	makeAgain()
	eventually(t, "the waiter looks at the queue", func() bool { return f.count("children") > lists })
	if st, err := b.Inspect(soon(t), "k"); err != nil || !st.Held() || st.Holders[0].AttemptID != "a" {
		t.Errorf("Inspect = %+v, %v; want the holder a", st, err)
	}
	if len(next) > 0 {
		t.Fatal("the waiter holds the lock beside its holder")
	}
	release(t, b, g)
	release(t, b, get(t, next))
}

// TestWatchedNodeIsAnother: between the look at the queue and the watch the node ahead
// is made again, behind us.
func TestWatchedNodeIsAnother(t *testing.T) {
	f := newFake()
	f.from = math.MaxInt32
	b := on(t, f)
	g := acquire(t, b, "a")
	next := enqueue(t, b, "b", 1)
	s := currentSession(t, b)
	b.mu.Lock()
	a := b.ledger.Find(attempts.ID{Key: "k", AttemptID: "b"})
	b.mu.Unlock()
	eventually(t, "b knows its node", func() bool { // which the server has had for a moment
		b.mu.Lock()
		defer b.mu.Unlock()
		return a.claim != ""
	})
	f.mu.Lock()
	f.zxid++
	if _, err := f.create("/ns/k/x#+", nil, zk.FlagEphemeralSequential); err != nil {
		t.Fatal(err)
	}
	f.mu.Unlock()
	first, err := b.waitForPredecessor(soon(t), a, "x#+2147483647", nil)
	if first || err != nil {
		t.Errorf("waitBehind = %v, %v; want to look again", first, err)
	}
	if !s.Alive() {
		t.Error("the session is dead")
	}
	release(t, b, g)
	release(t, b, get(t, next))
}

// TestGoneMeanwhile: a claim of the list that is gone when it is read is left out.
func TestGoneMeanwhile(t *testing.T) {
	f := newFake()
	f.from = math.MaxInt32
	stays(t, f)
	for _, id := range []string{"b", "a"} {
		f.mu.Lock()
		f.zxid++
		_, err := f.create("/ns/k/"+id+"#+", nil, zk.FlagEphemeralSequential)
		f.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	queue := parseAll([]string{nodeOf("a", math.MaxInt32), nodeOf("b", math.MaxInt32), nodeOf("gone", math.MinInt32), nodeOf("c", 1)})
	got, err := readCzxids(f, "/ns/k", queue, nodeName{})
	if err != nil || len(got) != 3 {
		t.Fatalf("born = %+v, %v; want three", got, err)
	}
	for _, want := range []string{"c", "b", "a"} {
		head := first(got)
		if head.attemptID != want {
			t.Errorf("%q is before %q", head.attemptID, want)
		}
		got = slices.DeleteFunc(got, func(n nodeName) bool { return n == head })
	}
	f.unanswered["exists"] = 1
	if _, err := readCzxids(f, "/ns/k", queue, nodeName{}); !errors.Is(err, zk.ErrConnectionClosed) {
		t.Errorf("born without an answer: %v; what could not be asked is not gone", err)
	}
}
