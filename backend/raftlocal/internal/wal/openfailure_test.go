package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// torn is a log whose last append, of 5 blocks, has left a set of them.
func torn(w wrap, set int) (m *disk.Memory, acked, maybe state, err error) {
	m = disk.NewMemory()
	acked, _, err = live(w(m), []step{creates(), opens(), appends(hardState(1, 1, 0), entry(1, 1, 100))})
	if err != nil {
		return nil, acked, maybe, err
	}
	_, log, err := look(w(m), acked, acked)
	if err != nil {
		return nil, acked, maybe, err
	}
	more := appends(nil, entry(2, 1, dataFor(5)))
	maybe = acked
	more.then(&maybe)
	err = dieInSync(m, log, more)
	m.CrashKeeping(func(i int) bool { return set>>i&1 == 1 })
	return m, acked, maybe, err
}

// failEachCallOfOpen has each call of an Open fail that finds a torn write, and starts the
// process again: what it reads now may not be on the disk. Where it was the sync of the
// zeros that failed, and the power goes later, the log may be refused; it never holds
// anything else than what was acknowledged.
func failEachCallOfOpen(w wrap, seed uint64) (cases int, err error) {
	rng := rand.New(rand.NewPCG(seed, 6))
	refused := 0
	for set := range 1 << 5 {
		for k, failed := 1, true; failed; k++ {
			cases++
			m, acked, maybe, err := torn(w, set)
			if err != nil {
				return cases, err
			}
			m.Hook(disk.FailNth(0, k, syscall.EIO))
			_, log, err := look(w(m), acked, maybe)
			m.Hook(nil)
			if failed = err != nil; failed && !errors.Is(err, syscall.EIO) {
				return cases, fmt.Errorf("call %d, set %b: %w", k, set, err)
			}
			if !failed {
				_ = log.Close()
			}
			err = goOn(m, w, acked, maybe, rng)
			if errors.Is(err, wal.ErrDamaged) {
				refused++
			} else if err != nil {
				return cases, fmt.Errorf("call %d, set %b: %w", k, set, err)
			}
		}
	}
	if refused > 1<<5 {
		return cases, fmt.Errorf("refused %d times, and the zeros are synced once for each of %d sets", refused, 1<<5)
	}
	return cases, nil
}

// powerGoesInOpen takes the power away at each call of an Open that finds a torn write: the
// next one finds one that is no worse.
func powerGoesInOpen(w wrap, seed uint64) (cases int, err error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for set := range 1 << 5 {
		for k, died := 1, true; died; k++ {
			cases++
			m, acked, maybe, err := torn(w, set)
			if err != nil {
				return cases, err
			}
			m.Hook(powerAt(0, k))
			_, _, err = live(w(m), []step{opens()})
			m.Hook(nil)
			if died = errors.Is(err, errPower); !died && err != nil {
				return cases, err
			}
			m.Crash(rng)
			if err := goOn(m, w, acked, maybe, rng); err != nil {
				return cases, fmt.Errorf("call %d, set %b: %w", k, set, err)
			}
		}
	}
	return cases, nil
}

func TestFailureWhileOpening(t *testing.T)   { holds(t, failEachCallOfOpen) }
func TestPowerGoesWhileOpening(t *testing.T) { holds(t, powerGoesInOpen) }
