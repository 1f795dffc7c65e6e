package sim

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// tally is what has happened in a run, or in many: a run in which nothing happened proves
// nothing.
type tally struct {
	entries, deaths, changes, unborn, snapshots, crashes, lostDirectories int
	unknown, held, inspections, evictions, lists                          int
	renewals, releases, expiredHere, gone, pushes, cancels                int
}

// report is what a run, or many, came to.
type report struct {
	seeds, events                                 int
	grants, handOffs, expiries, elections, fenced int
	tally
}

func (r *report) add(w *world) {
	r.seeds++
	r.events += w.trace.events
	r.grants += w.promises.grants
	r.fenced += w.promises.fenced
	if model := w.committedLog.model; model != nil {
		r.handOffs += model.handOffs
		r.expiries += model.expiries
	}
	r.elections += len(w.referee.leaders)
	t, o := &r.tally, &w.tally
	t.entries += o.entries
	t.deaths += o.deaths
	t.snapshots += o.snapshots
	t.crashes += o.crashes
	t.changes += o.changes
	t.lostDirectories += o.lostDirectories
	t.unknown += o.unknown
	t.held += o.held
	t.inspections += o.inspections
	t.evictions += o.evictions
	t.lists += o.lists
	t.renewals += o.renewals
	t.releases += o.releases
	t.expiredHere += o.expiredHere
	t.gone += o.gone
	t.pushes += o.pushes
	t.cancels += o.cancels
}

// lacking tells what happened too seldom for the runs to mean anything.
func (r *report) lacking() string {
	var out []string
	for _, x := range []struct {
		what      string
		had, each int // for ten seeds
	}{
		{"grants", r.grants, 300},
		{"hand-offs", r.handOffs, 50},
		{"expiries", r.expiries, 20},
		{"elections", r.elections, 20},
		{"crashes", r.crashes, 10},
		{"snapshots", r.snapshots, 1},
		{"lost directories", r.lostDirectories, 1},
		{"renewals", r.renewals, 50},
		{"releases", r.releases, 200},
		{"evictions of one attempt", r.evictions, 2},
		{"lists", r.lists, 5},
	} {
		if 10*x.had < x.each*r.seeds {
			out = append(out, fmt.Sprintf("%s: %d", x.what, x.had))
		}
	}
	return strings.Join(out, ", ")
}

func (r *report) String() string {
	return fmt.Sprintf("%d seeds, %d events: %d entries, %d grants, %d hand-offs, %d pushes heard, %d expiries, %d elections, %d crashes, %d snapshots sent, "+
		"%d changes of members, %d directories lost, %d renewals, %d releases, %d cancelled, %d found held, %d inspections, %d lists, %d attempts evicted, %d unknown outcomes, "+
		"%d expired at the client, %d gone at the server, %d late writes fenced off, %d clients died",
		r.seeds, r.events, r.entries, r.grants, r.handOffs, r.pushes, r.expiries, r.elections, r.crashes, r.snapshots, r.changes, r.lostDirectories, r.renewals, r.releases,
		r.cancels, r.held, r.inspections, r.lists, r.evictions, r.unknown, r.expiredHere, r.gone, r.fenced, r.deaths)
}

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
