package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// group is one table: a case of a scenario.
type group struct{ scenario, name string }

// Print writes a table for each case, in the order in which they were measured, and the verdicts after them.
func (r *Run) Print(w io.Writer) error {
	var b strings.Builder
	r.Environment.print(&b)
	r.printContestants(&b)
	scenario := ""
	for _, g := range r.groups() {
		if g.scenario != scenario {
			scenario = g.scenario
			fmt.Fprintf(&b, "\n== %s ==\n", scenario)
		}
		r.printGroup(&b, g)
	}
	r.printVerdicts(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Run) groups() []group {
	var all []group
	add := func(g group) {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for _, s := range r.Series {
		add(group{s.Scenario, s.Case})
	}
	for _, n := range r.Notes {
		add(group{n.Scenario, n.Case})
	}
	return all
}

func (r *Run) printGroup(b *strings.Builder, g group) {
	metrics := r.metrics(g)
	rows := [][]string{append([]string{g.name}, metrics...)}
	if len(metrics) > 0 {
		rows[0] = append(rows[0], "ours ÷ this [quartiles]", "budget", "")
		for _, c := range r.Contestants {
			if row := r.row(g, c.Name, metrics); row != nil {
				rows = append(rows, row)
			}
		}
	}
	b.WriteByte('\n')
	align(b, rows)
	for _, n := range r.Notes {
		if n.Scenario == g.scenario && n.Case == g.name {
			fmt.Fprintf(b, "  %s: %s\n", n.Contestant, n.Text)
		}
	}
	for _, v := range r.Verdicts {
		if v.Scenario == g.scenario && v.Case == g.name && !r.inTable(v, metrics) {
			fmt.Fprintf(b, "  budget: %s must be %s; is %s: %s\n", r.what(v), v.Must, v.Is, v.State)
		}
	}
}

// inTable tells whether a verdict stands in the row of the contestant that ours is held against: there the ratio is that of
// the first column. Others follow below the table.
func (r *Run) inTable(v Verdict, metrics []string) bool {
	return v.Against != "" && v.Of == r.Contestants[0].Name && len(metrics) > 0 && v.Metric == metrics[0]
}

// what names the figure of a verdict, and whose it is if that is not ours.
func (r *Run) what(v Verdict) string {
	if v.Of == r.Contestants[0].Name {
		return v.Metric
	}
	return v.Metric + " of " + v.Of
}

// metrics lists the columns of a case; the first one is what contestants are compared by.
func (r *Run) metrics(g group) []string {
	var names []string
	for _, s := range r.Series {
		if s.Scenario == g.scenario && s.Case == g.name && !slices.Contains(names, s.Metric) {
			names = append(names, s.Metric)
		}
	}
	return names
}

func (r *Run) row(g group, contestant string, metrics []string) []string {
	row := []string{contestant}
	measured := false
	for _, m := range metrics {
		s := r.Find(ID{g.scenario, g.name, contestant, m})
		if s == nil {
			row = append(row, "–")
			continue
		}
		measured = true
		row = append(row, show(s.Unit, s.Median()))
	}
	if !measured {
		return nil
	}
	ratio := ""
	if ours := r.Contestants[0].Name; contestant != ours {
		is := r.Find(ID{g.scenario, g.name, ours, metrics[0]}).Over(r.Find(ID{g.scenario, g.name, contestant, metrics[0]}))
		ratio = is.String()
	}
	must, state := "", ""
	for _, v := range r.Verdicts {
		if v.Scenario == g.scenario && v.Case == g.name && v.Against == contestant && r.inTable(v, metrics) {
			must, state = v.Must, string(v.State)
		}
	}
	return append(row, ratio, must, state)
}

// String shows the median and the quartiles, which tell how far the median can be trusted.
func (q Ratio) String() string {
	switch {
	case q.Rounds == 0:
		return "–"
	case q.Low == q.High:
		return number(q.Median)
	default:
		return fmt.Sprintf("%s [%s–%s]", number(q.Median), number(q.Low), number(q.High))
	}
}

// align pads every cell to its column: names to the left, figures to the right.
func align(b *strings.Builder, rows [][]string) {
	width := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// show writes a figure with three digits that matter and its unit.
func show(u Unit, v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case u == Nanoseconds:
		return duration(v)
	case u == Share:
		return strconv.FormatFloat(100*v, 'f', 0, 64) + " %"
	default:
		return number(v)
	}
}

func duration(ns float64) string {
	switch d := time.Duration(ns); {
	case d < time.Millisecond:
		return number(ns/1e3) + " µs"
	case d < time.Second:
		return number(ns/1e6) + " ms"
	default:
		return number(ns/1e9) + " s"
	}
}

// number keeps three digits that matter and groups thousands: 0.0027, 0.13, 1.1, 3, 12.4, 187, 76,600.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 1000:
		return thousands(int64(math.Round(v)))
	case abs >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return trim(strconv.FormatFloat(v, 'f', 1, 64))
	case abs < 0.095 && abs > 0:
		return strconv.FormatFloat(v, 'g', 2, 64)
	default:
		return trim(strconv.FormatFloat(v, 'f', 2, 64))
	}
}

func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = s[:1], s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }
