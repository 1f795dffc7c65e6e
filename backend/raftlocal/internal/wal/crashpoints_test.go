package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// wrap is what a test puts between the log and the disk: nothing, or what makes a mutant
// of the log.
type wrap func(disk.FS) disk.FS

func plain(fs disk.FS) disk.FS { return fs }

// calls counts the calls that the script makes.
func calls(w wrap) (n int, err error) {
	m := disk.NewMemory()
	m.Hook(func(disk.Call) (time.Duration, error) { n++; return 0, nil })
	_, _, err = live(w(m), script())
	return n, err
}

// powerAt takes the power away before the n-th call of a kind has an effect; of any kind
// if it is 0.
func powerAt(op disk.Op, n int) disk.Hook {
	return func(c disk.Call) (time.Duration, error) {
		if op != 0 && c.Op != op {
			return 0, nil
		}
		if n--; n == 0 {
			panic(errPower)
		}
		return 0, nil
	}
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
		if k <= n && err != errPower { //nolint:errorlint // it is never wrapped
			return cases, fmt.Errorf("call %d: %v", k, err)
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

// goOn opens what a life has left, and leads two more, which end in a loss of power: one
// when all is done, one in the middle.
func goOn(m *disk.Memory, w wrap, acked, maybe state, rng *rand.Rand) error {
	found, log, err := look(w(m), acked, maybe)
	if err != nil {
		return err
	}
	for sizes := range 2 {
		more := appends(nil, entry(found.last()+1, 9, 1200*sizes+rng.IntN(900)))
		if err := more.do(&life{log: log}); err != nil {
			return err
		}
		more.then(&found)
		m.Crash(rng)
		if found, log, err = look(w(m), found, found); err != nil {
			return fmt.Errorf("a life later: %w", err)
		}
		more = appends(nil, entry(found.last()+1, 9, rng.IntN(2500)))
		maybe := found
		more.then(&maybe)
		if err := dieInSync(m, log, more); err != nil {
			return err
		}
		m.Crash(rng)
		if found, log, err = look(w(m), found, maybe); err != nil {
			return fmt.Errorf("two lives later: %w", err)
		}
	}
	return log.Close()
}

// dieInSync takes the power away when a step comes to its last sync, the frame's.
func dieInSync(m *disk.Memory, log *wal.Log, s step) (err error) {
	if err := log.Prepare(); err != nil {
		return err
	}
	defer func() {
		m.Hook(nil)
		if r := recover(); r != nil && r != errPower {
			panic(r)
		}
	}()
	var name string
	m.Hook(func(c disk.Call) (time.Duration, error) {
		if c.Op == disk.OpWrite {
			name = c.Name
		}
		if c.Op == disk.OpSync && c.Name == name && wal.IsSegment(name) {
			panic(errPower)
		}
		return 0, nil
	})
	return s.do(&life{log: log})
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
			if err != nil && err != errPower && !errors.Is(err, cause) { //nolint:errorlint // it is never wrapped
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

// holds runs a check of the log as it is.
func holds(t *testing.T, check func(wrap, uint64) (int, error)) {
	seed := rand.Uint64()
	cases, err := check(plain, seed)
	t.Logf("seed %d: %d cases", seed, cases)
	if err != nil {
		t.Error(err)
	}
}
