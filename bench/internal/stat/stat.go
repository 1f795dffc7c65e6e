// Package stat holds the few statistics that a comparison on a noisy machine needs.
package stat

import (
	"cmp"
	"math"
	"slices"
)

// Percentile returns the p-th percentile, 0 ≤ p ≤ 100, interpolated between neighbours; NaN when there are no values.
// It leaves values as they are.
func Percentile[T ~int64 | ~float64](values []T, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	at := p / 100 * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(sorted)-1)
	part := at - float64(below)
	return float64(sorted[below])*(1-part) + float64(sorted[above])*part
}

// Median is the 50th percentile.
func Median[T ~int64 | ~float64](values []T) float64 { return Percentile(values, 50) }

// OutOfOrder returns the share of pairs in which the later one came first: 0 in order of arrival, 0.5 at random, 1 reversed.
func OutOfOrder[T cmp.Ordered](order []T) float64 {
	n := len(order)
	if n < 2 {
		return 0
	}
	swapped := 0
	for i, a := range order {
		for _, b := range order[i+1:] {
			if a > b {
				swapped++
			}
		}
	}
	return float64(swapped) / float64(n*(n-1)/2)
}
