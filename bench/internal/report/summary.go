package report

import (
	"fmt"
	"strings"
)

func (e Environment) print(b *strings.Builder) {
	fmt.Fprintf(b, "%s, %s, %s, %d cores, %s, %.0f s\n", e.Server, e.Go, e.Platform, e.Cores, e.Started, e.Seconds)
	fmt.Fprintf(b, "%s\n", strings.Join(e.Libraries, ", "))
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
	fmt.Fprintf(b, "\n== budgets ==\n\n%d OK, %d missed, %d not measured\n", count[OK], count[Missed], count[NotMeasured])
	for _, v := range r.Verdicts {
		if v.State == Missed {
			fmt.Fprintf(b, "MISSED  %s, %s: %s must be %s; is %s\n", v.Scenario, v.Case, r.what(v), v.Must, v.Is)
		}
	}
}
