package process_test

import (
	"time"

	"golang.org/x/sys/unix"
)

// instant is a reading of the machine's monotonic clock, which all its processes
// share, and which goes on while one is suspended. Leases are counted by it, too.
type instant time.Duration

func now() instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return instant(ts.Nano())
}

// at is when a time of this process is, or a little before: the first of the two
// readings comes first.
func at(t time.Time) instant {
	before := now()
	return before + instant(time.Until(t))
}

func (i instant) sub(j instant) time.Duration { return time.Duration(i - j) }
