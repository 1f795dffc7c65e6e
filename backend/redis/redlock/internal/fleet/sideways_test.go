package fleet

import (
	"strings"
	"testing"
	"time"
)

// Two operators have replaced different nodes at the same time: there are two second versions. A client
// that works with one does not move a node to it from the other, which others may work with: with the new node
// of each, the two would have majorities without a node in common.
func TestTwoVersionsOfOneNumber(t *testing.T) {
	s := at(t, "")
	s.opened()
	mine := s.l.replaced([]string{"c"}, []Listed{{"d", "h4:1"}})
	other := s.l.replaced([]string{"a"}, []Listed{{"e", "h5:1"}})
	if mine.Version != other.Version || mine.edition() == other.edition() {
		t.Fatal(mine, other)
	}
	for i, l := range []*List{mine, other} {
		s.observations[i].list = l
		s.observations[i].cert.edition = l.edition()
	}
	s.observations[2] = observation{seen: true, run: "run4", id: "d", list: mine, cert: uncertified(mine, "d").next(mine, "d", "run4")}
	s.list, s.known[2] = mine, known{}
	s.expect(mine, "fit", "another version 2 of the list", "fit")
}

// A replacement that finds two versions of one number makes the next, and takes no side: a version is never
// left but for a higher one.
func TestReplaceAfterTwoVersions(t *testing.T) {
	run(t, func(t *testing.T) {
		for _, swap := range []bool{false, true} {
			all := append(listed(t, 5, ""), newFake(6), newFake(7))
			all[5].id, all[6].id = "new6", "new7"
			if swap {
				all[5].id, all[6].id = "new7", "new6"
			}
			old, _ := parseList(all[0].list)
			lists := []*List{
				old.replaced([]string{all[4].id}, []Listed{{all[5].id, "h6:1"}}),
				old.replaced([]string{all[3].id}, []Listed{{all[6].id, "h7:1"}}),
			}
			for i, l := range map[int]*List{0: lists[0], 1: lists[0], 2: lists[1], 4: lists[1]} {
				cert, _ := parseRecord(all[i].cert)
				cert.edition = l.edition()
				all[i].list, all[i].cert = l.text, cert.String()
			}
			which := []int{0, 1, 2, 4, 6}
			if lists[0].text < lists[1].text {
				which = []int{0, 1, 2, 3, 5} // the tie is for the one who runs it
			}
			said, err := replace(t, named(all, which...))
			if err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			if l, _ := parseList(all[0].list); l.Version != 3 || !strings.Contains(said, "version 3") {
				t.Errorf("the list is %v: %s", l, said)
			}
			f := open(t, named(all, which...))
			pass(2 * time.Second)
			if fit(f) != "yyyyy" {
				t.Errorf("%s: %v", fit(f), f.Missing())
			}
			f.Close()
		}
	})
}
