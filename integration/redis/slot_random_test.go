package redis_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// slotSeedVariable has the seed of a run that is to be drawn again.
const slotSeedVariable = "FENCELOCK_TEST_SEED"

// atRandom does with a few locks whatever can be done, in an order that is drawn, while their slot moves to and
// fro.
func atRandom(t *testing.T, s *slot, x lockScripts, atomically bool) {
	seed := rand.Uint64()
	if again := os.Getenv(slotSeedVariable); again != "" {
		seed = must(strconv.ParseUint(again, 10, 64))(t)
	}
	t.Logf("seed %d", seed)
	d := &draw{Rand: rand.New(rand.NewPCG(seed, 0)), slot: s, t: t}
	h := s.newHearers(t, locktest.Namespace())
	for i := range 4 {
		d.locks = append(d.locks, s.newLock(t, x, h, fmt.Sprint("lock", i)))
	}
	if atomically {
		d.whileItMoves(20)
	} else {
		for d.laps < 6 {
			if d.IntN(5) == 0 {
				d.migrate()
			}
			d.step()
		}
	}
	steps := d.steps
	for _, l := range d.locks {
		d.drain(l)
	}
	if there := must(s.clients[1-s.owner].ClusterCountKeysInSlot(t.Context(), s.number).Result())(t); there != 0 {
		t.Errorf("%d keys are left where the slot was", there)
	}
	t.Logf("%v: the slot has moved %d times in %d steps, with %d grants; MOVED %d times, ASK %d", s.slots, d.laps, steps, d.grants, s.moved, s.asked)
}

type draw struct {
	*rand.Rand
	t      *testing.T
	slot   *slot
	locks  []*slotLock
	stage  int // of the migration
	laps   int // migrations that are done
	steps  int
	grants int
	names  int
}

// whileItMoves takes steps until the slot has been moved n times, as a whole each time.
func (d *draw) whileItMoves(n int) {
	laps, failed := make(chan int), make(chan error, 1)
	go func() {
		defer close(laps)
		for lap := range n {
			if err := d.slot.moveAtomically(d.t.Context(), lap%2, 1-lap%2); err != nil {
				failed <- err
				return
			}
			laps <- lap
		}
	}()
	for {
		select {
		case _, more := <-laps:
			if !more {
				select {
				case err := <-failed:
					d.t.Fatal(err)
				default:
				}
				return
			}
			d.laps++
		default:
			d.step()
		}
	}
}

// migrate takes the next step of a migration, key by key.
func (d *draw) migrate() {
	from := d.laps % 2
	to := 1 - from
	switch {
	case d.stage == 0:
		d.slot.open(d.t, from, to)
	case d.stage <= 2*len(d.locks): // some of them twice, others not at all
		d.slot.move(d.t, from, to, d.locks[d.IntN(len(d.locks))].key)
	case d.stage == 2*len(d.locks)+1:
		d.slot.moveAll(d.t, from, to)
	case d.stage == 2*len(d.locks)+2:
		d.slot.settle(d.t, to, to)
	default:
		d.slot.settle(d.t, from, to)
		d.laps++
		d.stage = -1
	}
	d.stage++
}

// step does one thing with one lock.
func (d *draw) step() {
	l := d.locks[d.IntN(len(d.locks))]
	before := l.token
	late := d.IntN(3) == 0
	switch p := d.IntN(100); {
	case p < 25 && len(l.queue) < 5:
		l.acquire(d.attempt(l), "wait")
	case p < 30:
		l.acquire(d.attempt(l), "try")
	case p < 50 && len(l.queue) > 0:
		l.acquire(d.waiter(l), "wait")
	case p < 55 && l.holder != "":
		l.acquire(l.holder, "wait")
	case p < 65 && l.holder != "":
		l.renew(l.holder)
	case p < 68 && len(l.queue) > 0:
		l.renew(d.waiter(l))
	case p < 80 && l.holder != "":
		l.release(l.holder, late)
	case p < 82 && l.holder != "":
		l.evict(l.holder)
	case p < 88 && len(l.queue) > 0:
		l.release(d.waiter(l), late)
	case p < 93 && len(l.gone) > 0:
		gone := slices.Sorted(maps.Keys(l.gone))
		l.acquire(gone[d.IntN(len(gone))], []string{"try", "wait"}[d.IntN(2)])
	case p < 96 && l.holder != "" && l.ends.IsZero():
		l.die()
		l.awaitEnd() // before, either answer would be right
	case p < 98 && len(l.queue) > 0 && l.holder != "" && l.ends.IsZero():
		l.dieWaiting(d.waiter(l))
	}
	d.steps++
	if l.token != before {
		d.grants++
	}
}

func (d *draw) attempt(l *slotLock) string {
	d.names++
	return l.attempt(fmt.Sprint(d.names))
}

// waiter is one of the queue. Those that have died do not come back: whether their positions are still there
// depends on who has looked meanwhile.
func (d *draw) waiter(l *slotLock) string {
	living := slices.DeleteFunc(slices.Clone(l.queue), func(w string) bool { return l.dead[w] })
	if len(living) == 0 {
		return d.attempt(l) // one that does not wait
	}
	return living[d.IntN(len(living))]
}

// drain ends all that is left of a lock.
func (d *draw) drain(l *slotLock) {
	for l.holder != "" || len(l.queue) > 0 {
		switch {
		case l.holder == "":
			l.release(l.queue[0], false)
		case !l.ends.IsZero():
			l.awaitEnd()
			if next := l.first(""); next != "" {
				l.acquire(next, "wait")
			} else {
				l.release(l.holder, false)
			}
		default:
			l.release(l.holder, false)
		}
	}
}
