package zookeeper

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

func nodeOf(owner string, seq int32) string { return fmt.Sprintf("%s#+%010d", owner, seq) }

func earlyName(owner string, seq int32) string { return fmt.Sprintf("%s#%010d", owner, seq) }

func TestParseName(t *testing.T) {
	for text, want := range map[string]nodeName{
		"a#+0000000000":   {text: "a#+0000000000", owner: "a"},
		"a#+2147483647":   {text: "a#+2147483647", owner: "a", seq: math.MaxInt32},
		"a#+-2147483648":  {text: "a#+-2147483648", owner: "a", seq: math.MinInt32},
		"a#+-000000001":   {text: "a#+-000000001", owner: "a", seq: -1},
		"x-_9#0000000012": {text: "x-_9#0000000012", owner: "x-_9", seq: 12, early: true},
		"a#-2147483648":   {text: "a#-2147483648", owner: "a", seq: math.MinInt32, early: true},
	} {
		if got, ok := parseName(text); !ok || got != want {
			t.Errorf("parseName(%q) = %+v, %v; want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "a", "#0000000001", "a#", "a#1", "a#+1", "a#00000000x1", "a#2147483648", "a#0000000001#0000000002", "lock-0000000001", guardName,
	} {
		if n, ok := parseName(text); ok {
			t.Errorf("parseName(%q) = %+v, want it refused", text, n)
		}
	}
}

// wrapped is how earlier builds read a name, and compare.
func wrapped(t *testing.T, text string) (seq int32, ok bool) {
	t.Helper()
	_, digits, _ := strings.Cut(text, "#")
	n, err := strconv.ParseInt(digits, 10, 32)
	return int32(n), err == nil && len(digits) >= 10
}

// TestOrderWithEarlierBuilds: those read our names, and in the range have the same order.
// Beyond, the guard is before all of theirs.
func TestOrderWithEarlierBuilds(t *testing.T) {
	guard, ok := wrapped(t, guardName)
	if !ok {
		t.Fatalf("earlier builds do not take %q for a claim", guardName)
	}
	numbers := []int32{0, 1, halfway, orderly - 1}
	for i, a := range numbers {
		for _, b := range numbers[i+1:] {
			n, _ := parseName(nodeOf("b", a))
			m, _ := parseName(earlyName("a", b))
			theirs, ok := wrapped(t, n.text)
			if !n.before(m) || m.before(n) || !ok || theirs-m.seq >= 0 {
				t.Errorf("%d and %d: the builds do not agree that it is before", a, b)
			}
		}
		if a-guard >= 0 {
			t.Errorf("the guard keeps an earlier build from a turn that it has, as %d", a)
		}
	}
	for _, theirs := range []int32{orderly + 1, math.MaxInt32 - 1, math.MaxInt32, math.MinInt32, math.MinInt32 + 1<<20} {
		if guard-theirs >= 0 {
			t.Errorf("the guard does not keep %d out", theirs)
		}
	}
}

// TestOrder: numbers tell it up to the end of the range, and czxids after it, whatever the
// numbers are then.
func TestOrder(t *testing.T) {
	inOrder := []nodeName{
		{owner: "a", seq: 0},
		{owner: "z", seq: 1},
		{owner: "b", seq: orderly - 1},
		{owner: "z", seq: math.MaxInt32, czxid: 5},
		{owner: "y", seq: math.MinInt32, czxid: 6},
		{owner: "x", seq: math.MinInt32 + 1, czxid: 7},
		{owner: "a", seq: math.MaxInt32, czxid: 8},
		{owner: "b", seq: math.MaxInt32, czxid: 9},
		{owner: "a", seq: math.MinInt32, czxid: 10},
		{owner: "c", seq: orderly, czxid: 11},
	}
	var queue []nodeName
	for i := range inOrder {
		inOrder[i].text = nodeOf(inOrder[i].owner, inOrder[i].seq)
		queue = append([]nodeName{inOrder[i]}, queue...) // a list has no order
	}
	for i, n := range inOrder {
		for j, m := range inOrder {
			if got := n.before(m); got != (i < j) {
				t.Errorf("%s (%d) before %s (%d): %v", n.text, n.czxid, m.text, m.czxid, got)
			}
		}
		ahead := ""
		if i > 0 {
			ahead = inOrder[i-1].text
		}
		if l := lineUp(queue, n); !l.there || l.ahead.text != ahead {
			t.Errorf("lineUp(%q) = %+v, want it behind %q", n.text, l, ahead)
		}
	}
	if head := first(queue); head != inOrder[0] {
		t.Errorf("the first is %q", head.text)
	}
}

func TestLineUp(t *testing.T) {
	a, b := nodeOf("a", 1), nodeOf("b", 2)
	nameA, _ := parseName(a)
	for what, tc := range map[string]struct {
		children []string
		own      string
		want     line
	}{
		"alone":          {[]string{a}, a, line{there: true}},
		"not there":      {[]string{a}, b, line{ahead: nameA}},
		"nobody":         {nil, a, line{}},
		"only strangers": {[]string{"x", a, "0000000000"}, a, line{there: true}},
		"first":          {[]string{b, a}, a, line{there: true}},
		"second":         {[]string{b, a}, b, line{there: true, ahead: nameA}},
	} {
		me, _ := parseName(tc.own)
		if got := lineUp(parseAll(tc.children), me); got != tc.want {
			t.Errorf("%s: %+v, want %+v", what, got, tc.want)
		}
	}
}
