package sim

import (
	"errors"
	"syscall"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// drive decides how a disk behaves: what its calls take, which fail, and at which one the
// power does.
type drive struct {
	w     *world
	spent time.Duration // by the calls of this turn
	last  string        // what was called

	slow   time.Duration // what a sync takes at most, when the disk is slow
	hang   time.Duration // what the next sync takes, once
	full   bool          // there is no room for another file
	broken int           // the sync after this many fails, counted from 1 on
	doom   int           // the power fails at this change of the disk, counted from 1 on

	erred bool // it has let a call fail in this life
}

// powerFailed ends the code that runs on a disk: see disk.Hook.
type powerFailed struct{}

var errBroken = errors.New("input/output error")

// take returns what was spent, and begins to count again.
func (d *drive) take() time.Duration {
	spent := d.spent
	d.spent = 0
	return spent
}

// faulty reports whether an error of the member in this life may be the disk's fault.
func (d *drive) faulty() bool { return d.erred }

func (d *drive) hook(c disk.Call) (time.Duration, error) {
	d.last = c.Op.String()
	switch c.Op {
	case disk.OpCreate, disk.OpRename, disk.OpRemove, disk.OpWrite, disk.OpSync, disk.OpSyncDir:
		if d.doom--; d.doom == 0 {
			panic(powerFailed{})
		}
	default:
		return 0, nil
	}
	took, err := d.change(c.Op)
	d.spent += took
	d.erred = d.erred || err != nil
	return took, err
}

func (d *drive) change(op disk.Op) (time.Duration, error) {
	switch op {
	case disk.OpCreate:
		if d.full {
			return 0, syscall.ENOSPC
		}
	case disk.OpSync, disk.OpSyncDir:
		if d.broken--; d.broken == 0 {
			return time.Millisecond, errBroken
		}
		if d.hang > 0 {
			took := d.hang
			d.hang = 0
			return took, nil
		}
		if d.slow > 0 {
			return 10*time.Millisecond + time.Duration(d.w.rng.Int64N(int64(d.slow))), nil
		}
		return 50*time.Microsecond + time.Duration(d.w.rng.Int64N(int64(time.Millisecond))), nil
	}
	return 0, nil
}
