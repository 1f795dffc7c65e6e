package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"testing"
)

func example() Chart {
	format := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	return Chart{
		Title: `hand-off <&"'> µs`, X: "waiters", Y: "time", FormatX: format, FormatY: format,
		Lines: []Line{
			{"ours", []Point{{2, 150}, {16, 160}, {256, 170}}},
			{"a & b", []Point{{2, 280}, {16, 300}}},
			{"never measured", nil},
			{"close", []Point{{2, 281}, {16, 301}}},
		},
	}
}

func TestSVGIsWellFormed(t *testing.T) {
	for _, c := range []Chart{example(), {Title: "empty", FormatX: example().FormatX, FormatY: example().FormatY}} {
		d := xml.NewDecoder(bytes.NewReader(c.SVG()))
		elements := map[string]int{}
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", c.Title, err)
			}
			if e, ok := token.(xml.StartElement); ok {
				elements[e.Name.Local]++
			}
		}
		lines, points := 0, 0
		for _, l := range c.Lines {
			points += len(l.Points)
			if len(l.Points) > 0 {
				lines++
			}
		}
		if elements["polyline"] != lines || elements["circle"] != points {
			t.Errorf("%s: drew %v, want %d lines and %d points", c.Title, elements, lines, points)
		}
	}
}

func TestPositionsStayInside(t *testing.T) {
	c := example()
	x, y := c.axes()
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if px, py := x.at(p.X), y.at(p.Y); px < left || px > width-right || py < top || py > height-bottom {
				t.Errorf("%s: %v drawn at %v, %v", l.Name, p, px, py)
			}
		}
	}
}

func TestLabelsDoNotOverlap(t *testing.T) {
	c := example()
	_, y := c.axes()
	at := c.labels(y)
	if d := math.Abs(at[1] - at[3]); d < 15 {
		t.Errorf("two labels are %.1f apart", d)
	}
}

func TestDecades(t *testing.T) {
	tests := []struct {
		low, high float64
		want      []float64
	}{
		{8, 60, []float64{10, 15, 20, 30, 40, 50}},
		{8, 400, []float64{10, 20, 50, 100, 200}},
		{1, 100000, []float64{1, 10, 100, 1000, 10000, 100000}},
	}
	for _, tt := range tests {
		if got := decades(tt.low, tt.high); !slices.Equal(got, tt.want) {
			t.Errorf("decades(%v, %v) = %v, want %v", tt.low, tt.high, got, tt.want)
		}
	}
}

func TestLongNamesMakeRoom(t *testing.T) {
	short := Chart{Lines: []Line{{Name: "rueidislock"}}}
	long := Chart{Lines: []Line{{Name: "ours"}, {Name: "concurrency.Mutex"}}}
	if short.width() != width || long.width() <= width {
		t.Errorf("widths %v and %v, want %v and more", short.width(), long.width(), width)
	}
}
