package stat

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		p      float64
		want   float64
	}{
		{"one value", []float64{7}, 99, 7},
		{"median of an odd number", []float64{9, 1, 5}, 50, 5},
		{"median of an even number lies between", []float64{4, 1, 3, 2}, 50, 2.5},
		{"lowest", []float64{3, 1, 2}, 0, 1},
		{"highest", []float64{3, 1, 2}, 100, 3},
		{"interpolated", []float64{0, 10}, 75, 7.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Percentile(tt.values, tt.p); got != tt.want {
				t.Errorf("Percentile(%v, %v) = %v, want %v", tt.values, tt.p, got, tt.want)
			}
		})
	}
}

func TestPercentileOfNothingIsNotANumber(t *testing.T) {
	if got := Median[float64](nil); !math.IsNaN(got) {
		t.Errorf("Median of nothing = %v, want NaN", got)
	}
}

func TestPercentileLeavesItsInputAlone(t *testing.T) {
	values := []time.Duration{3, 1, 2}
	if got := Median(values); got != 2 {
		t.Errorf("Median = %v, want 2", got)
	}
	if !slices.Equal(values, []time.Duration{3, 1, 2}) {
		t.Errorf("Median sorted its input: %v", values)
	}
}

func TestOutOfOrder(t *testing.T) {
	tests := []struct {
		name  string
		order []int
		want  float64
	}{
		{"nobody", nil, 0},
		{"one", []int{0}, 0},
		{"in order", []int{0, 1, 2, 3}, 0},
		{"reversed", []int{3, 2, 1, 0}, 1},
		{"one overtakes one", []int{1, 0, 2, 3}, 1.0 / 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := OutOfOrder(tt.order); got != tt.want {
				t.Errorf("OutOfOrder(%v) = %v, want %v", tt.order, got, tt.want)
			}
		})
	}
}
