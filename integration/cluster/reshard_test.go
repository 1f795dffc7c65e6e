package cluster_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// startMasters starts n masters without replicas.
func startMasters(t *testing.T, n int, opts ...servers.Option) *world {
	t.Helper()
	return inWorld(t, newEnv(t, servers.StartRedisCluster(t, servers.RedisKind(t), n, opts...)), n)
}

// TestReshard: a slot moves to another master and back, with a queue that the lock is handed along, locks that are held and one
// that waits for each of them. Nobody notices, but that a hand-off may take as long as any write has to wait.
func TestReshard(t *testing.T) {
	t.Parallel()
	w := startMasters(t, 3)
	for _, by := range w.ways(t) {
		t.Run(by.name, func(t *testing.T) { testReshard(t, w, by) })
	}
}

func testReshard(t *testing.T, w *world, by way) {
	const many = 64
	tag := w.keyAt(t, 0, "tag"+by.name)
	slot := w.slot(t, tag)
	home, away := &w.Nodes[0], &w.Nodes[1]

	holder, waiter := w.open(t, 10*time.Second), w.open(t, time.Hour)
	var book locktest.Ledger
	var held []*fencelock.Lease
	var waiting []<-chan locktest.Attempt
	for _, key := range tagged(tag, "held", many) {
		l := locktest.Lock(t, holder, key)
		book.Record(t, l)
		held = append(held, l)
		waiting = append(waiting, locktest.StartLock(t.Context(), waiter, key))
	}
	for _, l := range held {
		locktest.AwaitWaiters(t, locktest.Soon, holder, l.Key(), 1)
	}
	q, begin := startQueue(t, w.dial(t), tagged(tag, "queue", 1)[0], many)
	begin()
	bare := w.startWriter(t, tag)
	time.Sleep(200 * time.Millisecond)
	handOff, _ := q.reset()
	pause, _ := bare.reset()
	t.Logf("before it moves a hand-off takes %v at the most, and a write %v", round(handOff), round(pause))

	for lap := range 4 {
		from, to := home, away
		if lap%2 == 1 {
			from, to = away, home
		}
		began := time.Now()
		if err := w.move(by, slot, slot, from, to); err != nil {
			t.Fatal(err)
		}
		moved := time.Since(began)
		time.Sleep(100 * time.Millisecond)
		handOff, grants := q.reset()
		pause, refused := bare.reset()
		t.Logf("moved in %v; %d grants until now; a hand-off took %v at the most, and a write %v, with %v", round(moved), grants, round(handOff), round(pause), refused)
		if handOff > pause+200*time.Millisecond+locktest.Slack {
			t.Errorf("a hand-off took %v, want no more than %v, which a write took, and 200ms", handOff, pause)
		}
	}
	q.end(t)
	bare.stop()
	if _, grants := q.reset(); grants < many {
		t.Errorf("the queue has moved on %d times only", grants)
	}
	for i, l := range held {
		if err := l.Ensure(t.Context(), 8*time.Second); err != nil {
			t.Fatalf("a lease: %v", err)
		}
		locktest.Unlock(t, l)
		next := locktest.ExpectLock(t, waiting[i], locktest.Soon)
		book.Record(t, next)
		locktest.Unlock(t, next)
	}
	w.expectNothingLeft(t)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond / 10) }

// TestReshardUnderLoad: many slots move at once, there and back, while locks in all of them are taken and
// freed. No caller has an error.
func TestReshardUnderLoad(t *testing.T) {
	t.Parallel()
	w := startMasters(t, 3)
	for _, by := range w.ways(t) {
		t.Run(by.name, func(t *testing.T) { testReshardUnderLoad(t, w, by) })
	}
}

func testReshardUnderLoad(t *testing.T, w *world, by way) {
	last := 499 // of the slots that move
	if by.name == "KeyByKey" {
		last = 39 // each takes a handful of commands
	}
	one, other := w.open(t, 10*time.Second), w.open(t, 10*time.Second)
	churn := &locktest.Churn{Client: one, Rival: other, Workers: 32, Contended: 4}
	var held []*fencelock.Lease
	for i := range 8 {
		for _, key := range tagged(w.keyIn(t, 0, last, fmt.Sprint(by.name, i)), "held", 8) {
			held = append(held, locktest.Lock(t, one, key))
		}
	}
	var moving sync.WaitGroup
	var failed error
	laps, done := 0, make(chan struct{})
	moving.Go(func() {
		for failed == nil && !closed(done) {
			failed = errors.Join(w.move(by, 0, last, &w.Nodes[0], &w.Nodes[2]), w.move(by, 0, last, &w.Nodes[2], &w.Nodes[0]))
			laps += 2
		}
	})
	took := churn.Run(t, 8000)
	close(done)
	moving.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	t.Logf("%d slots have moved %d times during 8,000 locks in %v", last+1, laps, round(took))
	for _, l := range held {
		if err := l.Ensure(t.Context(), 8*time.Second); err != nil {
			t.Fatalf("a lease: %v", err)
		}
		locktest.Unlock(t, l)
	}
	w.expectNothingLeft(t)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
