package report

import (
	"cmp"
	"fmt"

	"github.com/fencelock/fencelock/bench/internal/stat"
)

// Budget is a bound that our figure must keep: of itself, against another contestant in the same case, or against our own
// figure in another case.
type Budget struct {
	Scenario, Case, Metric string

	Of          string // the contestant that is bound, if it is not ours as it is set up by default
	Against     string // the contestant that ours is divided by; empty: ours as it is, or Base
	Base        *Base  // our own figure that ours is divided by
	AtLeast     bool   // the bound is a lower one
	Bound       float64
	BoundDetail string // what the bound is a multiple or a number of, for the reader

	// Floor says why the bound cannot be met: which bare commands cost what, as it was measured. A miss is
	// told with it. It is no fault up to FloorBound, which can be met; 0: there is no such bound.
	Floor      string
	FloorBound float64
}

// Base names a figure of ours.
type Base struct{ Scenario, Case, Metric string }

// Verdict is a budget held against a run.
type Verdict struct {
	Scenario string `json:"scenario"`
	Case     string `json:"case"`
	Metric   string `json:"metric"`
	Of       string `json:"of"`
	Against  string `json:"against"`
	Must     string `json:"must"`
	Is       Ratio  `json:"is"`
	State    State  `json:"state"`
	Floor    string `json:"floor,omitempty"` // where the bound was missed: why it cannot be met
}

// State is the outcome of a budget.
type State string

// AtFloor is for a bound that was missed and cannot be met, while the one that can be was kept.
// NotMeasured is for a budget whose figures this run does not have: another -only, or a contestant that failed.
const (
	OK          State = "OK"
	Missed      State = "MISSED"
	AtFloor     State = "at its floor"
	NotMeasured State = "not measured"
)

// Judge holds every budget against the run and keeps the verdicts in it.
func (r *Run) Judge(ours string, budgets []Budget) {
	for _, b := range budgets {
		r.Verdicts = append(r.Verdicts, b.judge(r, ours))
	}
}

func (b Budget) judge(r *Run, ours string) Verdict {
	ours = cmp.Or(b.Of, ours)
	v := Verdict{Scenario: b.Scenario, Case: b.Case, Metric: b.Metric, Of: ours, Against: b.Against, Must: b.must(), State: NotMeasured}
	own := r.Find(ID{b.Scenario, b.Case, ours, b.Metric})
	switch {
	case b.Against != "":
		v.Is = own.Over(r.Find(ID{b.Scenario, b.Case, b.Against, b.Metric}))
	case b.Base != nil:
		v.Is = own.Over(r.Find(ID{b.Base.Scenario, b.Base.Case, ours, b.Base.Metric}))
	default:
		v.Is = own.Over(own.ones())
	}
	if v.Is.Rounds == 0 {
		return v
	}
	// Rounded to what is shown: a bound of 1.10 is not missed by 1.1004.
	is := round2(v.Is.Median)
	switch {
	case b.keeps(is, b.Bound):
		v.State = OK
		return v
	case b.FloorBound > 0 && b.keeps(is, b.FloorBound):
		v.State = AtFloor
	default:
		v.State = Missed
	}
	v.Floor = b.Floor
	return v
}

func (b Budget) keeps(is, bound float64) bool {
	if b.AtLeast {
		return is >= bound
	}
	return is <= bound
}

func (b Budget) must() string {
	sign := "≤"
	if b.AtLeast {
		sign = "≥"
	}
	must := fmt.Sprintf("%s %s %s", sign, number(b.Bound), b.BoundDetail)
	if b.FloorBound > 0 {
		must += fmt.Sprintf(" (floor %s)", number(b.FloorBound))
	}
	return must
}

// ones is a series of the same rounds that divides by one, so that an absolute figure is judged like a ratio.
func (s *Series) ones() *Series {
	if s == nil {
		return nil
	}
	one := &Series{ID: s.ID, Unit: s.Unit}
	for _, sample := range s.Samples {
		one.Samples = append(one.Samples, Sample{Round: sample.Round, Value: 1})
	}
	return one
}

// Ratio compares two series round by round. A figure alone says little on a small machine, where the scheduler falls into
// one of several gaits; two figures taken one right after the other mostly share it.
type Ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`  // lower quartile
	High   float64 `json:"high"` // upper quartile
	Rounds int     `json:"rounds"`
}

// Values returns the figures without their rounds.
func (s *Series) Values() []float64 {
	if s == nil {
		return nil
	}
	values := make([]float64, len(s.Samples))
	for i, sample := range s.Samples {
		values[i] = sample.Value
	}
	return values
}

// Median is the middle figure; not a number for a series that does not exist.
func (s *Series) Median() float64 { return stat.Median(s.Values()) }

// Over divides s by base in each round that has both. Rounds is 0 when there is none.
func (s *Series) Over(base *Series) Ratio {
	if s == nil || base == nil {
		return Ratio{}
	}
	of := make(map[int]float64, len(base.Samples))
	for _, sample := range base.Samples {
		of[sample.Round] = sample.Value
	}
	var ratios []float64
	for _, sample := range s.Samples {
		if b, ok := of[sample.Round]; ok && b != 0 {
			ratios = append(ratios, sample.Value/b)
		}
	}
	if len(ratios) == 0 {
		return Ratio{}
	}
	return Ratio{
		Median: stat.Median(ratios),
		Low:    stat.Percentile(ratios, 25),
		High:   stat.Percentile(ratios, 75),
		Rounds: len(ratios),
	}
}
