package fleet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var start = time.Unix(1_000_000, 0)

// situation is a view that is put together for a test: three nodes, which have the identities a, b and c
// in a fenced list, and are fit.
type situation struct {
	*testing.T
	view
	l *List
}

func at(t *testing.T, why string) *situation {
	t.Helper()
	s := &situation{T: t, l: newList([]Listed{{"a", "h1:1"}, {"b", "h2:1"}, {"c", "h3:1"}}, why, time.Minute)}
	s.names = []string{"h1:1", "h2:1", "h3:1"}
	s.now = start
	s.known = make([]known, 3)
	for i, id := range []string{"a", "b", "c"} {
		run := fmt.Sprint("run", i+1)
		s.observations = append(s.observations, observation{seen: true, run: run, id: id, list: s.l, cert: record{s.l.ID, s.l.edition(), id, 3, run}})
	}
	s.remember()
	return s
}

func (s *situation) remember() {
	for i := range s.observations {
		s.known[i].remember(s.observations[i], s.now)
	}
}

// opened has the client have seen all this before.
func (s *situation) opened() {
	s.list, s.since = s.l, s.now
	for i := range s.observations {
		s.known[i].id, s.known[i].count = s.observations[i].id, s.observations[i].cert.count
	}
}

// empty has a node lose its data; restart has its server be another process.
func (s *situation) empty(i int) {
	s.observations[i] = observation{seen: true, run: s.observations[i].run}
}
func (s *situation) restart(i int) { s.observations[i].run += "'" }
func (s *situation) down(i int) {
	s.observations[i] = observation{seen: true, err: passing("connection refused")}
}

// expect checks what a plan has for each node: "fit", "claim", "adopt", "adopt+raise", or a part of the
// error of a node that rests.
func (s *situation) expect(l *List, want ...string) []step {
	s.Helper()
	s.remember()
	got, steps := plan(s.view)
	if got != l {
		s.Errorf("the list is %v, want %v", got, l)
	}
	for i, st := range steps {
		is := map[action]string{rest: "fit", claim: "claim", adopt: "adopt"}[st.do]
		is += map[need]string{ifPossible: "+try", needed: "+raise"}[st.raise]
		if st.do == rest && st.err != nil {
			is = st.err.Error()
		}
		if is != want[i] && (st.do != rest || st.err == nil || !strings.Contains(is, want[i])) {
			s.Errorf("node %d: %q, want %q", i+1, is, want[i])
		}
		kinds := 0
		for _, kind := range []error{driver.ErrUnavailable, driver.ErrRefused, driver.ErrInvalid, driver.ErrUnsupported} {
			if errors.Is(st.err, kind) {
				kinds++
			}
		}
		if st.err != nil && kinds != 1 {
			s.Errorf("node %d: %v is of %d kinds", i+1, st.err, kinds)
		}
	}
	return steps
}

func TestAllFit(t *testing.T) {
	s := at(t, "")
	s.expect(s.l, "fit", "fit", "fit")
}

// TestSetUp goes through the steps of a first start.
func TestSetUp(t *testing.T) {
	s := at(t, "")
	s.observations[0].seen = false
	s.empty(1)
	s.empty(2)
	s.expect(nil, "not answered yet", "only when all nodes", "only when all")
	s.down(0)
	s.expect(nil, "connection refused", "only when all", "only when all")
	s.observations[0] = observation{seen: true, run: "run1", id: "a"}
	s.expect(nil, "the list is being made", "claim", "claim")
	s.observations[1].id, s.observations[2].id = "b", "c"
	steps := s.expect(nil, "adopt", "adopt", "adopt")
	l := steps[0].list
	if l.Level != Fenced || l.Longest() != time.Minute || l.text != s.l.text || l.ID != s.l.ID {
		t.Errorf("the list is %v, want %v", l, s.l)
	}
	for i, st := range steps {
		if st.cert.run != noRun || st.cert.count != 0 || st.list != l || st.raise != notNeeded {
			t.Errorf("node %d: %+v", i+1, st)
		}
	}
	// Its maker stops when one node has it: another client completes it.
	s.observations[1].list, s.observations[1].cert = l, steps[1].cert
	s.expect(l, "adopt", "adopt", "adopt")
	s.down(0)
	steps = s.expect(l, "connection refused", "adopt", "adopt")
	if steps[1].cert.run != "run2" || steps[1].cert.count != 1 || steps[2].cert.run != noRun {
		t.Errorf("%+v %+v", steps[1].cert, steps[2].cert)
	}
}

// TestSetUpWeak: one node that may forget makes the list advisory, and is named.
func TestSetUpWeak(t *testing.T) {
	s := at(t, "")
	for i := range s.observations {
		s.observations[i].list, s.observations[i].cert = nil, record{}
	}
	s.observations[1].weak = "the server keeps nothing"
	s.ttl = 5 * time.Second
	steps := s.expect(nil, "adopt", "adopt", "adopt")
	if l := steps[0].list; l.Level != Advisory || l.Why != "h2:1: the server keeps nothing" || l.TTL != 5000 {
		t.Errorf("%+v", l)
	}
}

// TestTwoMakers: two clients have made first versions that differ in what they were told.
func TestTwoMakers(t *testing.T) {
	s := at(t, "")
	other := newList(s.l.Nodes, "h1:1: weak", time.Minute)
	if other.ID != s.l.ID || other.text == s.l.text {
		t.Fatal("they are to be of the same nodes, and to differ")
	}
	for i, l := range []*List{s.l, other, other} {
		s.observations[i].list, s.observations[i].cert = l, uncertified(l, s.observations[i].id)
	}
	steps := s.expect(other, "adopt", "adopt", "adopt")
	if steps[0].list != other || steps[0].cert.edition != other.edition() {
		t.Errorf("%+v", steps[0])
	}
	s.empty(2)
	s.observations[2].id = "c"
	if a, b := s.l, other; a.text < b.text { // the same for all clients
		s.expect(a, "adopt", "adopt", "adopt")
	} else {
		s.expect(b, "adopt", "adopt", "adopt")
	}
}

// TestRestart: a node of a fenced list is certified again at once, one of an advisory list after a while, and
// with the counters of the others.
func TestRestart(t *testing.T) {
	s := at(t, "")
	s.restart(2)
	steps := s.expect(s.l, "fit", "fit", "adopt+try")
	if c := steps[2].cert; c.run != "run3'" || c.count != 4 || c.identity != "c" {
		t.Errorf("%+v", c)
	}
	s.observations[2].weak = "it may lose what it has answered"
	s.expect(s.l, "fit", "fit", "the list is fenced, and of this node it may lose")
	s.observations[1].weak = s.observations[2].weak // its settings were changed while it ran
	s.expect(s.l, "fit", "fenced", "fenced")

	s = at(t, "weak")
	s.opened()
	s.restart(2)
	s.now = s.now.Add(time.Hour)
	s.expect(s.l, "fit", "fit", "it was restarted, and may have forgotten: it abstains")
	s.now = s.now.Add(time.Minute)
	s.expect(s.l, "fit", "fit", "abstains")
	s.now = s.now.Add(time.Second)
	steps = s.expect(s.l, "fit", "fit", "adopt+raise")
	if c := steps[2].cert; c.run != "run3'" || c.count != 4 {
		t.Errorf("%+v", c)
	}
	s.restart(2) // once more, so the wait begins again
	s.expect(s.l, "fit", "fit", "abstains")
}

// TestLostData: a fenced list never takes back a node that has lost its data; an advisory one
// does, after a while, by the identity that is left.
func TestLostData(t *testing.T) {
	for _, lose := range []func(s *situation){
		func(s *situation) { s.empty(2) },
		func(s *situation) { s.observations[2].list, s.observations[2].cert = nil, record{} },
		func(s *situation) { s.observations[2].cert = record{} },
		func(s *situation) { s.empty(2); s.restart(2) },
	} {
		s := at(t, "")
		s.opened()
		lose(s)
		s.now = s.now.Add(time.Hour)
		s.expect(s.l, "fit", "fit", "replace")

		s = at(t, "weak")
		s.opened()
		s.list = nil
		lose(s)
		s.expect(s.l, "fit", "fit", "it has lost its data: it abstains")
		s.now = s.now.Add(62 * time.Second)
		s.since = s.now.Add(-time.Second)
		s.expect(s.l, "fit", "fit", "abstains") // the list was seen only now
		s.since = time.Time{}
		steps := s.expect(s.l, "fit", "fit", "adopt+raise")
		if steps[2].id != "c" || steps[2].cert.run != s.observations[2].run || steps[2].list != s.l {
			t.Errorf("%+v", steps[2])
		}
	}
}

// TestOldData: a file from before the client saw the node last.
func TestOldData(t *testing.T) {
	s := at(t, "")
	s.opened()
	s.restart(2)
	s.observations[2].cert.count = 2
	s.expect(s.l, "fit", "fit", "old data")
}

// TestWhichNodeItWas: nodes of an advisory list that have lost their identities.
func TestWhichNodeItWas(t *testing.T) {
	s := at(t, "weak")
	s.list = s.l
	s.empty(1)
	s.down(2)
	s.now = s.now.Add(time.Hour)
	s.remember()
	s.now = s.now.Add(time.Hour)
	if steps := s.expect(s.l, "fit", "adopt+raise", "refused"); steps[1].id != "b" {
		t.Errorf("%+v", steps[1]) // by its address
	}
	s.names[1] = "10.0.0.2:1"
	s.expect(s.l, "fit", "no node at this address", "refused") // another name, or another server
	s.known[1].id = "b"
	if steps := s.expect(s.l, "fit", "adopt+raise", "refused"); steps[1].id != "b" {
		t.Errorf("%+v", steps[1]) // this client has seen it there
	}
	s = at(t, "weak")
	s.names[1], s.names[2] = s.names[2], s.names[1] // it has come to another address, whose node is empty
	s.list = s.l
	s.empty(2)
	s.remember()
	s.now = s.now.Add(time.Hour)
	s.expect(s.l, "fit", "fit", "no node at this address")
	s = at(t, "weak")
	s.list = s.l
	for i := range s.observations {
		s.empty(i)
	}
	s.remember()
	s.now = s.now.Add(time.Hour)
	steps := s.expect(s.l, "adopt+raise", "adopt+raise", "adopt+raise")
	if steps[0].id+steps[1].id+steps[2].id != "abc" {
		t.Errorf("%+v", steps)
	}
	// A client that has not known them makes a new list.
	s.list = nil
	s.expect(nil, "claim", "claim", "claim")
}

// TestWrongURL: a URL that leads to an empty server in place of one of an advisory list's nodes, or of two. The nodes
// that it names besides are in use, and the empty ones stand for none of them.
func TestWrongURL(t *testing.T) {
	s := at(t, "weak")
	s.names = []string{"h1:1", "h2:1", "h4:1"}
	s.empty(2)
	s.remember()
	s.now = s.now.Add(time.Hour)
	s.expect(s.l, "fit", "fit", "no node at this address")
	s = at(t, "weak")
	s.names = []string{"h1:1", "h4:1", "h5:1"}
	s.empty(1)
	s.empty(2)
	s.remember()
	s.now = s.now.Add(time.Hour)
	s.expect(nil, "only 1 of 3 nodes", "only 1 of 3 nodes", "only 1 of 3 nodes")
}

// TestTwins: the same server twice, the same identity twice.
func TestTwins(t *testing.T) {
	s := at(t, "")
	s.observations[1] = s.observations[0]
	steps := s.expect(nil, "h1:1 and h2:1 are the same server", "h1:1 and h2:1 are the same server", "only 1 of 3 nodes")
	if !errors.Is(steps[0].err, driver.ErrInvalid) {
		t.Error(steps[0].err)
	}
	s.observations[1].run = "copy"
	s.expect(nil, "h1:1 and h2:1 have the same identity", "the same identity", "only 1 of 3 nodes")
	s.opened()
	s.expect(s.l, "the same identity", "the same identity", "fit")
}

// TestOtherLists: of other nodes, of another number, with another longest TTL.
func TestOtherLists(t *testing.T) {
	s := at(t, "")
	other := newList([]Listed{{"x", "x:1"}, {"y", "y:1"}, {"c", "h3:1"}}, "", time.Minute)
	s.observations[2].list = other
	s.expect(nil, "different lists", "different lists", "different lists")
	s.opened() // the list came to the node later
	s.expect(s.l, "fit", "fit", "another list, of h3:1, x:1, y:1")
	s.list = nil
	s.observations[1].list, s.observations[1].id = newList([]Listed{{"q", "q:1"}}, "", time.Minute), "q"
	s.expect(nil, "different lists", "different lists", "different lists")
	s = at(t, "")
	s.observations[2].id = "z"
	s.expect(s.l, "fit", "fit", "its identity is not in the list")

	s = at(t, "")
	s.ttl = time.Second
	s.expect(nil, "max_ttl=1s", "made with 1m0s", "leave max_ttl= out")
	s.ttl = time.Minute
	s.expect(s.l, "fit", "fit", "fit")

	s = at(t, "")
	s.names, s.known = append(s.names, "h4:1", "h5:1"), append(s.known, known{}, known{})
	s.observations = append(s.observations, observation{seen: true, run: "run4"}, observation{seen: true, run: "run5"})
	s.expect(nil, "the list has 3 nodes, h1:1, h2:1, h3:1, and the URL names 5", "3 nodes", "3 nodes", "3 nodes", "3 nodes")
}

// TestNoMajority: a client that opens needs a majority that has the list; one that has it goes on with it.
func TestNoMajority(t *testing.T) {
	s := at(t, "")
	s.down(0)
	s.down(1)
	s.expect(nil, "refused", "refused", "only 1 of 3 nodes")
	s.opened()
	s.expect(s.l, "refused", "refused", "fit")
}

// TestMinorityVersion: a version that one node has may have been followed by another, which is seen only when the
// others answer.
func TestMinorityVersion(t *testing.T) {
	s := at(t, "")
	next := s.l.replaced([]string{"c"}, []Listed{{"d", "h4:1"}})
	s.observations[0].list = next
	s.observations[0].cert.edition = next.edition()
	s.down(1)
	s.observations[2] = observation{seen: true, run: "run4", id: "d"}
	s.expect(nil, "only 1 of 3 nodes", "refused", "only 1 of 3 nodes")
}

// TestReplacement: who has which version, and who uses it.
func TestReplacement(t *testing.T) {
	s := at(t, "")
	s.opened()
	next := s.l.replaced([]string{"c"}, []Listed{{"d", "h4:1"}})
	if next.ID != s.l.ID || next.Version != 2 || next.edition() == s.l.edition() || next.has("c") || !next.has("d") || s.l.has("d") {
		t.Fatalf("%+v", next)
	}
	move := func(i int) {
		s.observations[i].list = next
		s.observations[i].cert.edition = next.edition()
	}
	move(0)
	s.expect(s.l, "newer version of the list, which no majority has", "fit", "fit")
	move(1)
	s.expect(next, "fit", "fit", "it is no part of the list any more")
	s.list, s.known[2] = next, known{}
	// The URL names the new node, which must not be let in by a client.
	s.observations[2] = observation{seen: true, run: "run4", id: "d"}
	s.now = s.now.Add(time.Hour)
	s.expect(next, "fit", "fit", "never been certified")
	s.observations[2].list, s.observations[2].cert = next, uncertified(next, "d").next(next, "d", "run4")
	s.expect(next, "fit", "fit", "fit")
	// One that stays was away meanwhile.
	s.observations[1].list = s.l
	s.observations[1].cert.edition = s.l.edition()
	steps := s.expect(next, "fit", "adopt", "fit")
	if c := steps[1].cert; c.edition != next.edition() || c.run != "run2" || c.count != 4 {
		t.Errorf("%+v", c)
	}
	// A fenced client does not go back.
	move(1)
	s.list = next
	for i := range s.observations {
		s.observations[i].list = s.l
	}
	s.expect(nil, "an older one", "an older one", "an older one")
}

// TestAnotherListLater: all nodes have been emptied, and another client has made a new list of them.
func TestAnotherListLater(t *testing.T) {
	for why, want := range map[string]string{"": "another list, or an older one", "weak": "fit"} {
		s := at(t, why)
		s.opened()
		s.list = newList([]Listed{{"x", "h1:1"}, {"y", "h2:1"}, {"z", "h3:1"}}, why, time.Minute)
		l := s.l
		if why == "" {
			l = nil
		}
		s.expect(l, want, want, want)
	}
	s := at(t, "weak")
	s.list = newList(s.l.Nodes, "weak", time.Hour)
	s.expect(nil, "another longest TTL", "another longest TTL", "another longest TTL")
	s.list = newList(s.l.Nodes, "", time.Minute)
	s.expect(nil, "promises less", "promises less", "promises less")
}

func TestRecords(t *testing.T) {
	l := newList([]Listed{{"b", "h2"}, {"a", "h1"}}, "", time.Minute)
	again, err := parseList(l.text)
	if err != nil || again.text != l.text || again.ID != l.ID || again.edition() != l.edition() || again.Nodes[0].Identity != "a" {
		t.Errorf("%+v, %v", again, err)
	}
	r := uncertified(l, "a").next(l, "a", "run")
	if back, err := parseRecord(r.String()); err != nil || back != r || r.count != 1 {
		t.Errorf("%q: %+v, %v", r, back, err)
	}
	for _, text := range []string{"x", "a b c d e", "a b c 1", "a b c -1 e"} {
		if _, err := parseRecord(text); err == nil {
			t.Errorf("%q is taken for a record", text)
		}
	}
	for _, text := range []string{"x", "{}", `{"list":"a","version":1,"level":"other","ttl":1,"nodes":[{}]}`} {
		if _, err := parseList(text); err == nil {
			t.Errorf("%q is taken for a list", text)
		}
	}
}
