package scenario

import (
	"context"
	"errors"

	"github.com/fencelock/fencelock/bench/internal/report"
)

// Meter asks the server for its own counters. What others do on the server meanwhile is in them, too.
type Meter struct {
	Writes string // what the server calls that which it must get to its disk: the name of the column
	Syncs  string // and how often it did, with what came at once; empty if it does not tell
	Read   func(ctx context.Context) (Load, error)
}

// Load is a reading of a Meter.
type Load struct {
	Writes  float64 // so far
	Syncs   float64 // so far
	Watches float64 // that stand now
}

// read is the zero Load where there is no Meter.
func (m *Meter) read(ctx context.Context) (Load, error) {
	if m == nil {
		return Load{}, nil
	}
	return m.Read(ctx)
}

// addWork records what the server did for each of so many pairs, or hand-overs.
func (t table) addWork(name string, round int, writes, syncs float64) {
	m := t.env.Meter
	if m == nil {
		return
	}
	t.add(name, m.Writes, report.Plain, round, writes)
	if m.Syncs != "" {
		t.add(name, m.Syncs, report.Plain, round, syncs)
	}
}

// loads are the readings during the life of a line.
type loads struct {
	meter  *Meter
	all    []Load
	failed error
}

func (l *loads) read(ctx context.Context) {
	load, err := l.meter.read(ctx)
	l.all = append(l.all, load)
	l.failed = errors.Join(l.failed, err)
}

// writes, syncs and watches are what was added from one reading to another.
func (l *loads) writes(from, to int) float64  { return l.all[to].Writes - l.all[from].Writes }
func (l *loads) syncs(from, to int) float64   { return l.all[to].Syncs - l.all[from].Syncs }
func (l *loads) watches(from, to int) float64 { return l.all[to].Watches - l.all[from].Watches }
