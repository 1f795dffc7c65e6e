package wal

import "time"

// Syncs is how long the disk has taken, as a histogram.
type Syncs struct {
	// Counts are of syncs that took as long as the bound at their place in [SyncBounds], or less, and longer
	// than the one before; the last is of those that took longer than all.
	Counts [len(SyncBounds) + 1]uint64
	Took   time.Duration // together
}

// SyncBounds are the bounds. A disk with a battery or of flash is in the first few, and locks are lost above
// a second.
var SyncBounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
}

func (s *Syncs) add(d time.Duration) {
	s.Took += d
	for i, bound := range SyncBounds {
		if d <= bound {
			s.Counts[i]++
			return
		}
	}
	s.Counts[len(SyncBounds)]++
}

// Syncs tells how long the disk has taken for a write to be durable, since the log was opened.
func (l *Log) Syncs() Syncs { return l.syncs }
