package sim

import (
	"fmt"
	"io"
	"time"
)

// trace is everything that happens, as a hash, and as lines for a reader if one is there.
// Two runs with the same hash were the same run.
type trace struct {
	sum    uint64
	events int
	out    io.Writer // or nil
	now    *time.Duration
}

func newTrace(now *time.Duration, out io.Writer) *trace {
	return &trace{sum: 14695981039346656037, now: now, out: out}
}

// note takes an event in: its kind and what tells it from others.
func (t *trace) note(kind byte, parts ...uint64) {
	t.events++
	t.mix(uint64(kind))
	t.mix(uint64(*t.now))
	for _, p := range parts {
		t.mix(p)
	}
}

// mix is FNV-1a by words instead of bytes, with the high half folded in.
func (t *trace) mix(v uint64) {
	t.sum = (t.sum ^ v) * 1099511628211
	t.sum ^= t.sum >> 29
}

// line tells a reader. It is not part of the hash, and costs nothing without a reader.
func (t *trace) line(format string, args ...any) {
	if t.out != nil {
		fmt.Fprintf(t.out, "%12.6f  %s\n", t.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

func digest(data []byte) uint64 {
	sum := uint64(14695981039346656037)
	for _, b := range data {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return sum
}
