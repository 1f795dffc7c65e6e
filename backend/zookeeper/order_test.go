package zookeeper

import (
	"fmt"
	"math"
	"testing"
)

func nodeName(owner string, seq int32) string { return fmt.Sprintf("%s#%010d", owner, seq) }

func TestParseName(t *testing.T) {
	for text, want := range map[string]name{
		"a#0000000000":    {"a#0000000000", "a", 0},
		"a#2147483647":    {"a#2147483647", "a", math.MaxInt32},
		"a#-2147483648":   {"a#-2147483648", "a", math.MinInt32},
		"a#-000000001":    {"a#-000000001", "a", -1},
		"x-_9#0000000012": {"x-_9#0000000012", "x-_9", 12},
	} {
		if got, ok := parseName(text); !ok || got != want {
			t.Errorf("parseName(%q) = %+v, %v; want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "a", "#0000000001", "a#", "a#1", "a#00000000x1", "a#2147483648", "a#0000000001#0000000002", "lock-0000000001"} {
		if n, ok := parseName(text); ok {
			t.Errorf("parseName(%q) = %+v, want it refused", text, n)
		}
	}
}

// The number of the server wraps: the newest must not become the first.
func TestOrderAtTheWrap(t *testing.T) {
	seqs := []int32{math.MaxInt32 - 1, math.MaxInt32, math.MinInt32, math.MinInt32 + 1, math.MinInt32 + 2}
	var children []string
	for i := len(seqs) - 1; i >= 0; i-- { // a list has no order
		children = append(children, nodeName(string(rune('a'+i)), seqs[i]))
	}
	children = append(children, "somebody's", "lock-0000000001")
	if head, n := first(children); head.owner != "a" || n != len(seqs) {
		t.Errorf("the first of %q is %q of %d", children, head.text, n)
	}
	for i, seq := range seqs {
		own := nodeName(string(rune('a'+i)), seq)
		ahead := ""
		if i > 0 {
			ahead = nodeName(string(rune('a'+i-1)), seqs[i-1])
		}
		l := lineUp(children, own)
		if !l.there || l.ahead.text != ahead {
			t.Errorf("lineUp(%q) = %+v, want it behind %q", own, l, ahead)
		}
	}
}

func TestLineUp(t *testing.T) {
	a, b := nodeName("a", 1), nodeName("b", 2)
	for what, tc := range map[string]struct {
		children []string
		own      string
		want     line
	}{
		"alone":          {[]string{a}, a, line{there: true}},
		"not there":      {[]string{a}, b, line{ahead: name{a, "a", 1}}},
		"nobody":         {nil, a, line{}},
		"only strangers": {[]string{"x", a, "0000000000"}, a, line{there: true}},
		"first":          {[]string{b, a}, a, line{there: true}},
		"second":         {[]string{b, a}, b, line{there: true, ahead: name{a, "a", 1}}},
	} {
		if got := lineUp(tc.children, tc.own); got != tc.want {
			t.Errorf("%s: %+v, want %+v", what, got, tc.want)
		}
	}
}
