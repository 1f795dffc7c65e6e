package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// calls counts the calls that the script makes.
func calls(w wrap) (n int, err error) {
	m := disk.NewMemory()
	m.Hook(func(disk.Call) (time.Duration, error) { n++; return 0, nil })
	_, _, err = live(w(m), script())
	return n, err
}

// crashAtEachCall takes the power away before and after each call of the script. What had
// not been synced has reached the disk, or has not, or some of it.
func crashAtEachCall(w wrap, seed uint64) (cases int, err error) {
	n, err := calls(w)
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for k := 1; k <= n+1; k++ {
		m := disk.NewMemory()
		m.Hook(powerAt(0, k))
		acked, maybe, err := live(w(m), script())
		if k <= n && !errors.Is(err, errPower) {
			return cases, fmt.Errorf("the power goes before call %d: %w", k, err)
		}
		for how := range 8 {
			cases++
			c := m.Clone()
			switch how {
			case 0:
				c.CrashKeeping(func(int) bool { return false })
			case 1:
				c.CrashKeeping(func(int) bool { return true })
			case 2:
				c.Kill()
			default:
				c.Crash(rng)
			}
			if err := goOn(c, w, acked, maybe, rng); err != nil {
				return cases, fmt.Errorf("power gone before call %d, way %d: %w", k, how, err)
			}
		}
	}
	return cases, nil
}

// failEachCall has each call of the script fail once, which ends the process. Then it is
// started again, or the power goes first. Should the process go on, the power goes soon.
func failEachCall(w wrap, seed uint64) (cases int, err error) {
	n, err := calls(w)
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	for k := 1; k <= n; k++ {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
			m := disk.NewMemory()
			fail, power := disk.FailNth(0, k, cause), powerAt(0, k+2+rng.IntN(16))
			m.Hook(func(c disk.Call) (time.Duration, error) {
				_, _ = power(c)
				return fail(c)
			})
			acked, maybe, err := live(w(m), script())
			if err != nil && !errors.Is(err, errPower) && !errors.Is(err, cause) {
				return cases, fmt.Errorf("call %d has failed: %w", k, err)
			}
			for how := range 4 {
				cases++
				c := m.Clone()
				if how > 0 {
					c.Crash(rng)
				}
				if err := goOn(c, w, acked, maybe, rng); err != nil {
					return cases, fmt.Errorf("call %d has failed, way %d: %w", k, how, err)
				}
			}
		}
	}
	return cases, nil
}

func TestCrashAtEachCall(t *testing.T)   { holds(t, crashAtEachCall) }
func TestFailureOfEachCall(t *testing.T) { holds(t, failEachCall) }
