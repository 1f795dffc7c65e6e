package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

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
