package chart

import (
	"fmt"
	"strings"
)

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
