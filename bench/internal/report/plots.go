package report

import (
	"os"
	"path/filepath"

	"github.com/fencelock/fencelock/bench/internal/chart"
)

// Plot is a figure over the sizes of its cases.
type Plot struct {
	File     string // name of the SVG
	Title    string
	X        string
	Scenario string
	Metric   string
	Sizes    []int
	Case     func(size int) string
}

// WritePlots draws each plot into a file below dir. One that this run has no figures for is left out.
func (r *Run) WritePlots(dir string, plots []Plot) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range plots {
		c, measured := r.chart(p)
		if !measured {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, p.File), c.SVG(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) chart(p Plot) (c chart.Chart, measured bool) {
	unit := Plain
	c = chart.Chart{Title: p.Title, X: p.X, Y: p.Metric, FormatX: number}
	for _, row := range r.Contestants {
		line := chart.Line{Name: row.Name}
		for _, size := range p.Sizes {
			s := r.Find(ID{p.Scenario, p.Case(size), row.Name, p.Metric})
			if s == nil {
				continue
			}
			unit, measured = s.Unit, true
			line.Points = append(line.Points, chart.Point{X: float64(size), Y: s.Median()})
		}
		c.Lines = append(c.Lines, line)
	}
	c.FormatY = func(v float64) string { return show(unit, v) }
	return c, measured
}
