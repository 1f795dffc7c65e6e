package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample(t *testing.T) *Run {
	t.Helper()
	r := &Run{Contestants: []Contestant{{Name: "ours", Token: true, Waits: "is pushed"}, {Name: "peer", Waits: "asks"}}}
	for round, v := range []float64{100, 200, 130} { // the machine was slow for both in round 1
		r.Add(ID{"queue", "2 clients", "ours", "time"}, Nanoseconds, round, v)
	}
	for round, v := range []float64{200, 400, 200} {
		r.Add(ID{"queue", "2 clients", "peer", "time"}, Nanoseconds, round, v)
	}
	r.Add(ID{"queue", "2 clients", "ours", "commands"}, Plain, 0, 2)
	r.Add(ID{"queue", "64 clients", "ours", "time"}, Nanoseconds, 0, 120)
	return r
}

func TestRatioComparesWithinRounds(t *testing.T) {
	r := sample(t)
	got := r.Find(ID{"queue", "2 clients", "ours", "time"}).Over(r.Find(ID{"queue", "2 clients", "peer", "time"}))
	if want := (Ratio{Median: 0.5, Low: 0.5, High: 0.575, Rounds: 3}); got != want {
		t.Errorf("ratio %+v, want %+v", got, want)
	}
}

func TestRatioSkipsRoundsThatOneSideLacks(t *testing.T) {
	a, b := &Series{}, &Series{}
	a.Samples = []Sample{{0, 10}, {1, 30}, {2, 90}}
	b.Samples = []Sample{{1, 10}, {2, 0}}
	if got := a.Over(b); got.Median != 3 || got.Rounds != 1 {
		t.Errorf("ratio %+v, want 3 from round 1 alone", got)
	}
	if got := a.Over(nil); got.Rounds != 0 {
		t.Errorf("ratio to nothing: %+v", got)
	}
}

func TestJudge(t *testing.T) {
	at := Budget{Scenario: "queue", Case: "2 clients", Metric: "time"}
	tests := []struct {
		name   string
		change func(*Budget)
		want   State
	}{
		{"against a peer, met", func(b *Budget) { b.Against, b.Bound = "peer", 0.7 }, OK},
		{"against a peer, met exactly", func(b *Budget) { b.Against, b.Bound = "peer", 0.5 }, OK},
		{"against a peer, missed", func(b *Budget) { b.Against, b.Bound = "peer", 0.4 }, Missed},
		{"at least, missed", func(b *Budget) { b.Against, b.Bound, b.AtLeast = "peer", 0.6, true }, Missed},
		{"at least, met", func(b *Budget) { b.Against, b.Bound, b.AtLeast = "peer", 0.4, true }, OK},
		{"an absolute bound, met", func(b *Budget) { b.Metric, b.Bound = "commands", 2 }, OK},
		{"an absolute bound, missed", func(b *Budget) { b.Metric, b.Bound = "commands", 1 }, Missed},
		{"against our other case, met", func(b *Budget) {
			b.Case, b.Base, b.Bound = "64 clients", &Base{"queue", "2 clients", "time"}, 1.2
		}, OK},
		{"against our other case, missed", func(b *Budget) {
			b.Case, b.Base, b.Bound = "64 clients", &Base{"queue", "2 clients", "time"}, 1.1
		}, Missed},
		{"a case that did not run", func(b *Budget) { b.Case = "256 clients" }, NotMeasured},
		{"a peer that did not run", func(b *Budget) { b.Against = "nobody" }, NotMeasured},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, b := sample(t), at
			tt.change(&b)
			r.Judge("ours", []Budget{b})
			if got := r.Verdicts[0]; got.State != tt.want {
				t.Errorf("%+v, want %s", got, tt.want)
			}
		})
	}
}

func TestFloorTellsWhyABoundIsMissed(t *testing.T) {
	const why = "the bare commands take as long"
	at := Budget{Scenario: "queue", Case: "2 clients", Metric: "time", Against: "peer", BoundDetail: "× peer", Floor: why}
	for _, tt := range []struct {
		name              string
		bound, floorBound float64
		want              State
		line              string
	}{
		{"met", 0.5, 0, OK, ""},
		{"missed", 0.4, 0, Missed, "MISSED  queue, 2 clients: time must be ≤ 0.4 × peer; is 0.5 [0.5–0.57]\n        the floor: " + why},
		{"missed, as low as can be", 0.4, 0.5, AtFloor, "at its floor  queue, 2 clients: time must be ≤ 0.4 × peer (floor 0.5); is 0.5 [0.5–0.57]\n        the floor: " + why},
		{"missed, and more than the floor", 0.3, 0.4, Missed, "MISSED  queue, 2 clients: time must be ≤ 0.3 × peer (floor 0.4)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, b := sample(t), at
			b.Bound, b.FloorBound = tt.bound, tt.floorBound
			r.Judge("ours", []Budget{b})
			if got := r.Verdicts[0]; got.State != tt.want {
				t.Errorf("%+v, want %s", got, tt.want)
			}
			var text strings.Builder
			if err := r.Print(&text); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text.String(), tt.line) || strings.Contains(text.String(), why) != (tt.line != "") {
				t.Errorf("want %q in\n%s", tt.line, text.String())
			}
		})
	}
}

func TestPrintShowsRatioBudgetAndNotes(t *testing.T) {
	r := sample(t)
	r.Add(ID{"queue", "2 clients", "ours, plain", "time"}, Nanoseconds, 0, 50)
	r.Notes = []Note{{Scenario: "queue", Case: "2 clients", Contestant: "peer", Text: "cut to 3 of 7 rounds"}}
	r.Judge("ours", []Budget{
		{Scenario: "queue", Case: "2 clients", Metric: "time", Against: "peer", Bound: 0.4, BoundDetail: "× peer"},
		{Scenario: "queue", Case: "2 clients", Metric: "commands", Bound: 3, BoundDetail: "per hand-off"},
		{Scenario: "queue", Case: "2 clients", Metric: "time", Of: "ours, plain", Against: "peer", Bound: 0.3, BoundDetail: "× peer"},
	})
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"== queue ==", "0.13 µs", "0.5 [0.5–0.57]", "≤ 0.4 × peer  MISSED", "peer: cut to 3 of 7 rounds",
		"budget: commands must be ≤ 3 per hand-off; is 2: OK",
		"budget: time of ours, plain must be ≤ 0.3 × peer; is 0.25: OK", "2 OK, 1 missed, 0 not measured",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.00271: "0.0027", 0.0942: "0.094", 0.127: "0.13", 1.1: "1.1", 3: "3", 12.44: "12.4", 187.3: "187", 1000: "1,000", 76600.4: "76,600", 1234567: "1,234,567", -4321: "-4,321",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestWriteJSONAndPlots(t *testing.T) {
	r, dir := sample(t), t.TempDir()
	if err := r.WriteJSON(filepath.Join(dir, "run.json")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Run
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if got := back.Find(ID{"queue", "2 clients", "ours", "time"}).Median(); got != 130 {
		t.Errorf("median read back = %v, want 130", got)
	}

	clients := func(n int) string { return number(float64(n)) + " clients" }
	plot := Plot{File: "q.svg", Scenario: "queue", Metric: "time", Sizes: []int{2, 64}, Case: clients}
	missing := Plot{File: "none.svg", Scenario: "other", Metric: "time", Sizes: []int{2}, Case: clients}
	if err := r.WritePlots(filepath.Join(dir, "plots"), []Plot{plot, missing}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "plots", "q.svg")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "plots", "none.svg")); !os.IsNotExist(err) {
		t.Errorf("a plot without figures was written: %v", err)
	}
}
