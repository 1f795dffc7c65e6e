package report

import "github.com/fencelock/fencelock/bench/internal/stat"

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
