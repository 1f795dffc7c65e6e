// Package report keeps what was measured and shows it: as tables with verdicts, as JSON, as plots.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Unit says how a figure is shown and which way is better.
type Unit string

// The units in use. Rate is the only one of which more is better.
const (
	Nanoseconds Unit = "ns"
	Rate        Unit = "pairs/s"
	Plain       Unit = ""
	Bytes       Unit = "B"
	Share       Unit = "share"
)

// ID names one figure of one contestant.
type ID struct {
	Scenario   string `json:"scenario"`
	Case       string `json:"case"`
	Contestant string `json:"contestant"`
	Metric     string `json:"metric"`
}

// Series is one figure over the rounds of a run.
type Series struct {
	ID
	Unit    Unit     `json:"unit"`
	Samples []Sample `json:"samples"`
}

// Sample is the figure of one round. Rounds are numbered because only figures of the same round are compared.
type Sample struct {
	Round int     `json:"round"`
	Value float64 `json:"value"`
}

// Note says what the figures of a contestant do not: that it was cut short, or failed.
type Note struct {
	Scenario   string `json:"scenario"`
	Case       string `json:"case"`
	Contestant string `json:"contestant"`
	Text       string `json:"text"`
	Failed     bool   `json:"failed"`
}

// Environment is where the figures come from.
type Environment struct {
	Server    string   `json:"server"`
	Go        string   `json:"go"`
	Platform  string   `json:"platform"`
	Cores     int      `json:"cores"`
	Libraries []string `json:"libraries"`
	Before    string   `json:"before,omitempty"` // the commit whose build takes part, too
	Started   string   `json:"started"`
	Seconds   float64  `json:"seconds"`
}

// Contestant is a row, and what a reader must know of it to compare it with another.
type Contestant struct {
	Name   string `json:"name"`
	Token  bool   `json:"token"`
	Renews bool   `json:"renews"`
	Waits  string `json:"waits"`
}

// Run is everything that one run of the program found.
type Run struct {
	Environment Environment  `json:"environment"`
	Contestants []Contestant `json:"contestants"` // ours first; the order of rows
	Series      []*Series    `json:"series"`
	Notes       []Note       `json:"notes"`
	Verdicts    []Verdict    `json:"verdicts"`
}

// Add records the figure of one round.
func (r *Run) Add(id ID, u Unit, round int, value float64) {
	s := r.Find(id)
	if s == nil {
		s = &Series{ID: id, Unit: u}
		r.Series = append(r.Series, s)
	}
	s.Samples = append(s.Samples, Sample{Round: round, Value: value})
}

// Find returns the series, or nil when nothing was recorded.
func (r *Run) Find(id ID) *Series {
	i := slices.IndexFunc(r.Series, func(s *Series) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return r.Series[i]
}

// Failed tells whether a contestant could not do what a scenario asked of it.
func (r *Run) Failed(contestant string) bool {
	return slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Failed && n.Contestant == contestant })
}

// WriteJSON keeps every figure of every round, so that a run can be looked at again in another way.
func (r *Run) WriteJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func (e Environment) print(b *strings.Builder) {
	fmt.Fprintf(b, "%s, %s, %s, %d cores, %s, %.0f s\n", e.Server, e.Go, e.Platform, e.Cores, e.Started, e.Seconds)
	fmt.Fprintf(b, "%s\n", strings.Join(e.Libraries, ", "))
	if e.Before != "" {
		fmt.Fprintf(b, "before: %s\n", e.Before)
	}
}

// printContestants says what each one does for its price.
func (r *Run) printContestants(b *strings.Builder) {
	rows := [][]string{{"", "fencing token", "renews by itself", "a waiter"}}
	for _, c := range r.Contestants {
		rows = append(rows, []string{c.Name, yes(c.Token), yes(c.Renews), c.Waits})
	}
	b.WriteByte('\n')
	align(b, rows)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (r *Run) printVerdicts(b *strings.Builder) {
	count := map[State]int{}
	for _, v := range r.Verdicts {
		count[v.State]++
	}
	if len(r.Verdicts) == 0 {
		return
	}
	fmt.Fprintf(b, "\n== budgets ==\n\n%d OK, %d missed, ", count[OK], count[Missed])
	if count[AtFloor] > 0 {
		fmt.Fprintf(b, "%d at their floor, ", count[AtFloor])
	}
	fmt.Fprintf(b, "%d not measured\n", count[NotMeasured])
	for _, v := range r.Verdicts {
		if v.State != Missed && v.State != AtFloor {
			continue
		}
		fmt.Fprintf(b, "%s  %s, %s: %s must be %s; is %s\n", v.State, v.Scenario, v.Case, r.what(v), v.Must, v.Is)
		if v.Floor != "" {
			fmt.Fprintf(b, "        the floor: %s\n", v.Floor)
		}
	}
}
