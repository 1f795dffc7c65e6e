// Package chart draws a line chart with logarithmic axes as a small SVG that reads well on light and on dark ground.
package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Chart is what to draw. X and Y values must be positive.
type Chart struct {
	Title, X, Y string
	FormatX     func(float64) string
	FormatY     func(float64) string
	Lines       []Line
}

// Line is one contestant. The first of a chart is ours and stands out.
type Line struct {
	Name   string
	Points []Point
}

// Point is one measured value.
type Point struct{ X, Y float64 }

// Size of the drawing; the margins leave room for the labels of axes and lines. Long names make it wider.
const (
	width, height            = 720.0, 420.0
	left, right, top, bottom = 78.0, 118.0, 52.0, 56.0

	gap    = 12.0 // from a line's end to its name
	widest = 8.5  // of a letter, in the bold face, on average
)

// axis maps values to positions, equal factors to equal distances.
type axis struct {
	low, high float64 // logarithms
	from, to  float64 // positions
}

func (a axis) at(v float64) float64 {
	if a.high == a.low {
		return (a.from + a.to) / 2
	}
	return a.from + (math.Log10(v)-a.low)/(a.high-a.low)*(a.to-a.from)
}

// extent returns the smallest and the largest value that pick finds; 1 and 1 when there is none.
func (c Chart) extent(pick func(Point) float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, l := range c.Lines {
		for _, p := range l.Points {
			low, high = min(low, pick(p)), max(high, pick(p))
		}
	}
	if low > high {
		return 1, 1
	}
	return low, high
}

// decades are the round values between low and high: only powers of ten over a wide range, more of them over a narrow one.
func decades(low, high float64) []float64 {
	steps := []float64{1, 2, 5}
	switch span := math.Log10(high / low); {
	case span > 4:
		steps = []float64{1}
	case span < 1:
		steps = []float64{1, 1.5, 2, 3, 4, 5, 7}
	}
	var ticks []float64
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, s := range steps {
			if t := s * math.Pow(10, e); t >= low*0.999 && t <= high*1.001 {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}

// measuredX are the distinct sizes: the X axis is marked where something was measured, not at round numbers.
func (c Chart) measuredX() []float64 {
	seen := map[float64]bool{}
	var xs []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if !seen[p.X] {
				seen[p.X] = true
				xs = append(xs, p.X)
			}
		}
	}
	return xs
}

// position writes a coordinate with the precision that a screen can show.
func position(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// hues are the colours of the lines in their order, for light ground and for dark. They differ in lightness too, for
// readers who do not tell the hues apart.
var hues = []struct{ light, dark string }{
	{"#0550ae", "#6cb6ff"},
	{"#6e7781", "#9198a1"},
	{"#9a6700", "#e3b341"},
	{"#bc4c00", "#f69d50"},
	{"#1a7f37", "#6bc46d"},
	{"#8250df", "#dcbdfb"},
}

// style sets the colours. The ground stays transparent, so that the drawing takes on that of the page around it. There are no
// variables in it, since not every program that shows SVG knows them.
func style() string {
	var light, dark strings.Builder
	for i, h := range hues {
		fmt.Fprintf(&light, ".s%d .line { stroke: %s } .s%[1]d .dot, .s%[1]d .name { fill: %[2]s }\n", i, h.light)
		fmt.Fprintf(&dark, ".s%d .line { stroke: %s } .s%[1]d .dot, .s%[1]d .name { fill: %[2]s }\n", i, h.dark)
	}
	return `
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.axis { fill: #57606a; font-size: 12px }
.grid { stroke: #d0d7de; stroke-width: 1 }
.line { fill: none; stroke-width: 1.75 }
.ours .line { stroke-width: 3.5 }
.ours .name { font-weight: 700 }
` + light.String() + `@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.axis { fill: #9198a1 }
.grid { stroke: #3d444d }
` + dark.String() + `}
`
}
