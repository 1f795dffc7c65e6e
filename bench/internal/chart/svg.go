package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// SVG draws the chart.
func (c Chart) SVG() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">`,
		c.width(), height, escape(c.Title))
	fmt.Fprintf(&b, "\n<style>%s</style>\n", style())
	text(&b, "title", left, 24, "start", c.Title)

	x, y := c.axes()
	c.grid(&b, x, y)
	labels := c.labels(y)
	for i, l := range c.Lines {
		if len(l.Points) == 0 {
			continue
		}
		class := fmt.Sprintf("s%d", i%len(hues))
		if i == 0 {
			class += " ours"
		}
		fmt.Fprintf(&b, "<g class=\"%s\">\n<polyline class=\"line\" points=\"%s\"/>\n", class, l.path(x, y))
		for _, p := range l.Points {
			fmt.Fprintf(&b, "<circle class=\"dot\" cx=\"%s\" cy=\"%s\" r=\"3.5\"/>\n", position(x.at(p.X)), position(y.at(p.Y)))
		}
		text(&b, "name", width-right+gap, labels[i]+4, "start", l.Name)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// width is what the longest name needs.
func (c Chart) width() float64 {
	w := width
	for _, l := range c.Lines {
		w = max(w, width-right+gap+float64(utf8.RuneCountInString(l.Name))*widest)
	}
	return w
}

func (c Chart) axes() (x, y axis) {
	lowX, highX := c.extent(func(p Point) float64 { return p.X })
	lowY, highY := c.extent(func(p Point) float64 { return p.Y })
	x = axis{math.Log10(lowX), math.Log10(highX), left, width - right}
	// A little air, so that no line runs along the frame.
	return x, axis{math.Log10(lowY / 1.3), math.Log10(highY * 1.3), height - bottom, top}
}

func (c Chart) grid(b *bytes.Buffer, x, y axis) {
	for _, v := range decades(math.Pow(10, y.low), math.Pow(10, y.high)) {
		at := y.at(v)
		fmt.Fprintf(b, "<line class=\"grid\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>\n",
			position(left), position(at), position(width-right), position(at))
		text(b, "axis", left-8, at+4, "end", c.FormatY(v))
	}
	for _, v := range c.measuredX() {
		text(b, "axis", x.at(v), height-bottom+20, "middle", c.FormatX(v))
	}
	text(b, "axis", (left+width-right)/2, height-14, "middle", c.X)
	text(b, "axis", left, top-8, "start", c.Y)
}

func (l Line) path(x, y axis) string {
	points := make([]string, len(l.Points))
	for i, p := range l.Points {
		points[i] = position(x.at(p.X)) + "," + position(y.at(p.Y))
	}
	return strings.Join(points, " ")
}

// labels places each name at the end of its line, moved apart where lines end close together.
func (c Chart) labels(y axis) []float64 {
	const apart = 17
	at := make([]float64, len(c.Lines))
	var order []int
	for i, l := range c.Lines {
		if n := len(l.Points); n > 0 {
			at[i] = y.at(l.Points[n-1].Y)
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return int(math.Copysign(1, at[a]-at[b])) })
	for k := 1; k < len(order); k++ {
		at[order[k]] = max(at[order[k]], at[order[k-1]]+apart)
	}
	// Pushed below the frame at the end: push the lowest ones up again.
	floor := height - bottom
	for k := len(order) - 1; k >= 0; k-- {
		at[order[k]] = min(at[order[k]], floor)
		floor = at[order[k]] - apart
	}
	return at
}

func text(b *bytes.Buffer, class string, x, y float64, anchor, s string) {
	fmt.Fprintf(b, "<text class=\"%s\" x=\"%s\" y=\"%s\" text-anchor=\"%s\">%s</text>\n",
		class, position(x), position(y), anchor, escape(s))
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a bytes.Buffer does not fail
	return b.String()
}
