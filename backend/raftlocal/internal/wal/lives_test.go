package wal_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// wrap is what a test puts between the log and the disk: nothing, or what makes a mutant
// of the log.
type wrap func(disk.FS) disk.FS

func plain(fs disk.FS) disk.FS { return fs }

var seedFlag = flag.Uint64("seed", 0, "what the drawn cases follow from; 0 draws it")

func drawSeed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return rand.Uint64()
}

// holds runs a check of the log as it is.
func holds(t *testing.T, check func(wrap, uint64) (int, error)) {
	t.Helper()
	seed := drawSeed()
	cases, err := check(plain, seed)
	t.Logf("seed %d: %d cases", seed, cases)
	if err != nil {
		t.Error(err)
	}
}

// powerAt takes the power away before the n-th call of a kind has an effect; of any kind
// if it is 0.
func powerAt(op disk.Op, n int) disk.Hook {
	return func(c disk.Call) (time.Duration, error) {
		if op != 0 && c.Op != op {
			return 0, nil
		}
		if n--; n == 0 {
			panic(powerGone{})
		}
		return 0, nil
	}
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
		if r := recover(); r != nil && r != (powerGone{}) {
			panic(r)
		}
	}()
	var name string
	m.Hook(func(c disk.Call) (time.Duration, error) {
		if c.Op == disk.OpWrite {
			name = c.Name
		}
		if c.Op == disk.OpSync && c.Name == name && wal.IsSegment(name) {
			panic(powerGone{})
		}
		return 0, nil
	})
	return s.do(&life{log: log})
}
