package zookeeper

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

func TestEscapeIsInjective(t *testing.T) {
	keys := []string{
		"a", "A", "a/b", "a%2Fb", "/", "//", "%2F", "%2f", ".", "..", "%2E", "%2E%2E", "%2e", "...", "./", "a.", " ", "+", "%20", "\x00", "%00", "\n",
		"é", "e\u0301", "\ufeff", "\uf000", "#", "a#0000000001", "zookeeper", strings.Repeat("k", 1024), strings.Repeat("é", 512),
	}
	seen := make(map[string]string)
	for _, key := range keys {
		path := escape(key)
		if other, taken := seen[path]; taken {
			t.Errorf("%q and %q both become %q", key, other, path)
		}
		seen[path] = key
		if path == "" || path == "." || path == ".." || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' }) {
			t.Errorf("%q becomes %q, which is no name of a node", key, path)
		}
		if back, ok := unescape(path); !ok || back != key {
			t.Errorf("%q becomes %q, and that %q, %v", key, path, back, ok)
		}
	}
}

// TestUnescapeForeignNames: a node that escape does not make is no key's.
func TestUnescapeForeignNames(t *testing.T) {
	for _, node := range []string{"", ".", "..", "%2e", "%41", "%", "%zz", "%FF", "a b", "é", strings.Repeat("k", 1025)} {
		if key, ok := unescape(node); ok {
			t.Errorf("%q is taken for the key %q", node, key)
		}
	}
}

func TestCheckNamespace(t *testing.T) {
	for _, ok := range []string{"fencelock", "a", "A.b_c:d-9", strings.Repeat("n", 64), "...a"} {
		if why := checkNamespace(ok); why != "" {
			t.Errorf("%q: %s", ok, why)
		}
	}
	for _, bad := range []string{"", ".", "..", "zookeeper", "a/b", "a b", "ä", "a%", strings.Repeat("n", 65)} {
		if checkNamespace(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestCheckChroot(t *testing.T) {
	for _, ok := range []string{"", "/a", "/a/b.c/日本"} {
		if why := checkChroot(ok); why != "" {
			t.Errorf("%q: %s", ok, why)
		}
	}
	for _, bad := range []string{"/", "a", "/a/", "//a", "/a//b", "/.", "/a/..", "/a\x00", "/\u0085", "/\ue000"} {
		if checkChroot(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func nodeOf(id string, seq int32) string { return fmt.Sprintf("%s#+%010d", id, seq) }

func earlyName(id string, seq int32) string { return fmt.Sprintf("%s#%010d", id, seq) }

func TestParseName(t *testing.T) {
	for text, want := range map[string]nodeName{
		"a#+0000000000":   {text: "a#+0000000000", attemptID: "a"},
		"a#+2147483647":   {text: "a#+2147483647", attemptID: "a", seq: math.MaxInt32},
		"a#+-2147483648":  {text: "a#+-2147483648", attemptID: "a", seq: math.MinInt32},
		"a#+-000000001":   {text: "a#+-000000001", attemptID: "a", seq: -1},
		"x-_9#0000000012": {text: "x-_9#0000000012", attemptID: "x-_9", seq: 12, early: true},
		"a#-2147483648":   {text: "a#-2147483648", attemptID: "a", seq: math.MinInt32, early: true},
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
	numbers := []int32{0, 1, halfway, lastOrdered - 1}
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
	for _, theirs := range []int32{lastOrdered + 1, math.MaxInt32 - 1, math.MaxInt32, math.MinInt32, math.MinInt32 + 1<<20} {
		if guard-theirs >= 0 {
			t.Errorf("the guard does not keep %d out", theirs)
		}
	}
}

// TestOrder: numbers tell it up to the end of the range, and czxids after it, whatever the
// numbers are then.
func TestOrder(t *testing.T) {
	inOrder := []nodeName{
		{attemptID: "a", seq: 0},
		{attemptID: "z", seq: 1},
		{attemptID: "b", seq: lastOrdered - 1},
		{attemptID: "z", seq: math.MaxInt32, czxid: 5},
		{attemptID: "y", seq: math.MinInt32, czxid: 6},
		{attemptID: "x", seq: math.MinInt32 + 1, czxid: 7},
		{attemptID: "a", seq: math.MaxInt32, czxid: 8},
		{attemptID: "b", seq: math.MaxInt32, czxid: 9},
		{attemptID: "a", seq: math.MinInt32, czxid: 10},
		{attemptID: "c", seq: lastOrdered, czxid: 11},
	}
	var queue []nodeName
	for i := range inOrder {
		inOrder[i].text = nodeOf(inOrder[i].attemptID, inOrder[i].seq)
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
		if p := positionOf(queue, n); !p.inQueue || p.predecessor.text != ahead {
			t.Errorf("lineUp(%q) = %+v, want it behind %q", n.text, p, ahead)
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
		want     position
	}{
		"alone":          {[]string{a}, a, position{inQueue: true}},
		"not there":      {[]string{a}, b, position{predecessor: nameA}},
		"nobody":         {nil, a, position{}},
		"only strangers": {[]string{"x", a, "0000000000"}, a, position{inQueue: true}},
		"first":          {[]string{b, a}, a, position{inQueue: true}},
		"second":         {[]string{b, a}, b, position{inQueue: true, predecessor: nameA}},
	} {
		me, _ := parseName(tc.own)
		if got := positionOf(parseAll(tc.children), me); got != tc.want {
			t.Errorf("%s: %+v, want %+v", what, got, tc.want)
		}
	}
}

func TestRecord(t *testing.T) {
	for _, meta := range []string{"", "host/1", "two\nlines", "nul\x00", "é 🔒"} {
		if ttl, id, got := parseRecord(record(1500*time.Millisecond, driver.JoinIdentity("me", meta))); ttl != 1500*time.Millisecond || id != "me" || got != meta {
			t.Errorf("%q came back as %v, %q", meta, ttl, got)
		}
	}
	for _, data := range []string{"", "x", "\n", "fencelock1\nmeta", "fencelock1 x\nmeta", "fencelock2 5\nmeta", "10.0.0.1"} {
		if ttl, id, meta := parseRecord([]byte(data)); ttl != 0 || id != "" || meta != "" {
			t.Errorf("%q is read as %v, %q", data, ttl, meta)
		}
	}
}
