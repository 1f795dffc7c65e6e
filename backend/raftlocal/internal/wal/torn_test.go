package wal_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// dataFor is how much data makes a frame of one entry that takes some blocks.
func dataFor(blocks int) int { return blocks*508 - 60 }

// tearEachWay ends the power in the last append, of 1 to 5 blocks, with each set of them
// on the disk; and in the append that follows once more, of fewer and as many blocks. For
// longer ones the sets are drawn.
func tearEachWay(w wrap, seed uint64) (cases int, err error) {
	rng := rand.New(rand.NewPCG(seed, 3))
	for _, prefix := range []int{0, 1, 2, 3} { // blocks before it in its segment
		for blocks := 1; blocks <= 5; blocks++ {
			for set := range 1 << blocks {
				n, err := tearTwice(w, prefix, blocks, func(i int) bool { return set>>i&1 == 1 }, rng, blocks == 5)
				cases += n
				if err != nil {
					return cases, fmt.Errorf("%d blocks after %d, set %b: %w", blocks, prefix, set, err)
				}
			}
		}
		for _, blocks := range []int{9, 20, 70} {
			for range 8 {
				percent := rng.IntN(100)
				keep := make([]bool, blocks)
				for i := range keep {
					keep[i] = rng.IntN(100) <= percent
				}
				n, err := tearTwice(w, prefix, blocks, func(i int) bool { return keep[i] }, rng, true)
				cases += n
				if err != nil {
					return cases, fmt.Errorf("%d blocks after %d, set %v: %w", blocks, prefix, keep, err)
				}
			}
		}
	}
	return cases, nil
}

func tearTwice(w wrap, prefix, blocks int, keep func(int) bool, rng *rand.Rand, some bool) (cases int, err error) {
	m := disk.NewMemory()
	steps := []step{creates(), opens(), prepares()}
	last := uint64(0)
	if prefix > 0 {
		last++
		steps = append(steps, appends(hardState(1, 1, 0), entry(last, 1, dataFor(prefix))))
	}
	acked, _, err := live(w(m), steps)
	if err != nil {
		return 0, err
	}
	found, log, err := look(w(m), acked, acked)
	if err != nil {
		return 0, err
	}
	more := appends(hardState(2, 2, 0), entry(last+1, 2, dataFor(blocks)))
	maybe := found
	more.then(&maybe)
	if err := dieInSync(m, log, more); err != nil {
		return 0, err
	}
	if n := m.Unsynced(); n != blocks {
		return 0, fmt.Errorf("%d sectors are not synced", n)
	}
	m.CrashKeeping(keep)
	kept := m.Clone()
	for _, again := range []int{1, 2, 3, 4, 5, blocks} {
		if again > blocks {
			break
		}
		sets := 1 << again
		if some {
			sets = min(sets, 3)
		}
		for set := range sets {
			if some {
				set = int(rng.Uint64() >> 1)
			}
			cases++
			c := kept.Clone()
			found, log, err := look(w(c), acked, maybe)
			if err != nil {
				return cases, err
			}
			more := appends(nil, entry(found.last()+1, 3, dataFor(again)))
			after := found
			more.then(&after)
			if err := dieInSync(c, log, more); err != nil {
				return cases, err
			}
			c.CrashKeeping(func(i int) bool { return set>>(i%60)&1 == 1 })
			if found, log, err = look(w(c), found, after); err != nil {
				return cases, fmt.Errorf("then %d blocks, set %b: %w", again, set, err)
			}
			// What is left is good for more.
			more = appends(nil, entry(found.last()+1, 4, 10))
			if err := more.do(&life{log: log}); err != nil {
				return cases, err
			}
			more.then(&found)
			c.Crash(rng)
			if _, log, err = look(w(c), found, found); err != nil {
				return cases, fmt.Errorf("then %d blocks, set %b, and one more: %w", again, set, err)
			}
			_ = log.Close()
		}
	}
	return cases, nil
}

func TestTornAppends(t *testing.T) { holds(t, tearEachWay) }
