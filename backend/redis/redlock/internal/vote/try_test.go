package vote_test

import (
	"testing"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

var (
	b1 = wire.ID{AttemptID: "b", Try: 1}
	b2 = wire.ID{AttemptID: "b", Try: 2}
	c1 = wire.ID{AttemptID: "c", Try: 1}
)

// An event is what a node says, or that it says nothing.
type event func(t *vote.Try)

func done(node int, count uint64) event {
	return func(t *vote.Try) { t.Took(node, wire.Done, count, wire.ID{}) }
}

func other(node int, id wire.ID) event {
	return func(t *vote.Try) { t.Took(node, wire.Other, 9, id) }
}
func over(node int) event { return func(t *vote.Try) { t.Took(node, wire.Ended, 0, wire.ID{}) } }
func silent(nodes ...int) event {
	return func(t *vote.Try) {
		for _, n := range nodes {
			t.Silent(n)
		}
	}
}
func notSent(node int) event { return func(t *vote.Try) { t.NotSent(node) } }
func wrote(node int, o wire.Outcome) event {
	return func(t *vote.Try) { t.Wrote(node, o) }
}
func writeSilent(node int) event { return func(t *vote.Try) { t.WriteSilent(node) } }
func giveUp() event              { return func(t *vote.Try) { t.GiveUp() } }

// writes requires that these nodes, and no others, are to be sent a write-back.
func writes(t *testing.T, want vote.Set) event {
	t.Helper()
	return func(v *vote.Try) {
		t.Helper()
		if got := v.Writes(); got != want {
			t.Errorf("to be written back: %b, want %b", got, want)
		}
	}
}

// ends requires the same of ends.
func ends(t *testing.T, plain, keepOut vote.Set) event {
	t.Helper()
	return func(v *vote.Try) {
		t.Helper()
		if p, k := v.Ends(); p != plain || k != keepOut {
			t.Errorf("to be ended: %b, and kept out: %b; want %b and %b", p, k, plain, keepOut)
		}
	}
}

func try(n int, events ...event) *vote.Try {
	t := vote.NewTry(n, false)
	for _, e := range events {
		e(&t)
	}
	return &t
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name   string
		nodes  int
		events []event
		want   vote.Verdict
		token  uint64
	}{
		{"counts agree: one round", 3, []event{done(0, 7), done(2, 7)}, vote.Granted, 7},
		{"a majority of five", 5, []event{done(0, 7), done(1, 7)}, vote.Open, 0},
		{"a majority of five agrees", 5, []event{done(0, 7), done(1, 7), silent(2), done(3, 7)}, vote.Granted, 7},
		{"a majority of seven agrees", 7, []event{other(6, b1), done(0, 3), done(1, 3), silent(2), done(3, 3), over(4), done(5, 3)}, vote.Granted, 3},
		{"counts differ", 3, []event{done(0, 7), done(1, 5), writes(t, 0b010)}, vote.Open, 7},
		{"counts differ, written back", 3, []event{done(0, 7), done(1, 5), writes(t, 0b010), writes(t, 0), wrote(1, wire.Done)}, vote.Granted, 7},
		{"the key has gone before the write-back", 3, []event{done(0, 7), done(1, 5), writes(t, 0b010), wrote(1, wire.None)}, vote.Split, 7},
		{"another has it by then", 5, []event{done(0, 7), done(1, 5), done(2, 6), writes(t, 0b110), wrote(2, wire.Done), wrote(1, wire.Other)}, vote.Split, 7},
		{"the write-back is not answered", 3, []event{done(0, 7), done(1, 5), writes(t, 0b010), writeSilent(1)}, vote.NoQuorum, 7},
		{"a write-back that was not asked for counts nothing", 3, []event{done(0, 7), done(1, 5), wrote(1, wire.Done), wrote(2, wire.Done)}, vote.Open, 7},
		{"a late one with the token confirms it", 3, []event{done(0, 7), done(1, 5), writes(t, 0b010), done(2, 7)}, vote.Granted, 7},
		{"a late one below is written back", 3, []event{done(0, 7), done(1, 5), writes(t, 0b010), done(2, 6), writes(t, 0b100), wrote(1, wire.None), wrote(2, wire.Done)}, vote.Granted, 7},
		{"a late one above stays out", 3, []event{done(0, 7), done(1, 5), writes(t, 0b010), done(2, 8), writes(t, 0), wrote(2, wire.Done)}, vote.Open, 7},
		{"nobody answers twice", 3, []event{done(0, 7), done(0, 7), done(0, 8)}, vote.Open, 0},
		{"a node that was thought silent", 3, []event{silent(0), done(0, 7), done(1, 7)}, vote.Granted, 7},

		{"held", 3, []event{other(0, b1), other(1, b1)}, vote.Held, 0},
		{"held on three of five", 5, []event{done(0, 1), other(1, b1), other(2, b1), other(3, b1)}, vote.Held, 0},
		{"held on four of seven", 7, []event{silent(0, 1, 2), other(3, b1), other(4, b1), other(5, b1), other(6, b1)}, vote.Held, 0},
		{"held, beside a node that is away", 3, []event{notSent(0), other(1, b1), other(2, b1)}, vote.Held, 0},
		{"it waits for who has it", 3, []event{notSent(0), other(1, b1)}, vote.Open, 0},
		{"two tries of one attempt hold nothing together", 3, []event{done(0, 1), other(1, b1), other(2, b2)}, vote.Split, 0},
		{"one each", 3, []event{done(0, 1), other(1, b1), other(2, c1)}, vote.Split, 0},
		{"two, two and one", 5, []event{done(0, 1), done(1, 1), other(2, b1), other(3, b1), other(4, c1)}, vote.Split, 0},
		{"a silent node decides", 3, []event{silent(0), done(1, 1), other(2, b1)}, vote.NoQuorum, 0},
		{"a node that is away decides", 3, []event{notSent(0), done(1, 1), other(2, b1)}, vote.NoQuorum, 0},
		{"two that are away decide", 5, []event{notSent(0), silent(1), done(2, 1), other(3, b1), other(4, b1)}, vote.NoQuorum, 0},
		{"a silent node decides nothing", 3, []event{silent(0), other(1, b1), other(2, c1)}, vote.Split, 0},
		{"nobody answers", 3, []event{silent(0), notSent(1), silent(2)}, vote.NoQuorum, 0},
		{"the try was ended", 3, []event{over(0), over(1)}, vote.Ended, 0},
		{"the try was ended everywhere", 3, []event{over(0), over(1), over(2)}, vote.Ended, 0},
		{"the try was ended, and another has it", 3, []event{over(0), done(1, 1), other(2, b1)}, vote.Ended, 0},

		{"given up", 3, []event{done(0, 1), giveUp(), done(1, 1)}, vote.GivenUp, 0},
		{"given up when it was granted", 3, []event{done(0, 1), done(1, 1), giveUp()}, vote.GivenUp, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := try(c.nodes, c.events...)
			if got.Verdict() != c.want || got.Token() != c.token {
				t.Errorf("verdict %v, token %d; want %v, %d", got.Verdict(), got.Token(), c.want, c.token)
			}
		})
	}
}

func TestTokenless(t *testing.T) {
	got := vote.NewTry(3, true)
	got.Took(0, wire.Done, 7, wire.ID{})
	got.Took(1, wire.Done, 5, wire.ID{})
	if got.Verdict() != vote.Granted || got.Token() != 0 || got.Writes() != 0 {
		t.Errorf("verdict %v, token %d, want one round and none", got.Verdict(), got.Token())
	}
}

// A try that failed is ended where it has the key, and where it may have it; nowhere else.
func TestEnds(t *testing.T) {
	try(5, done(0, 1), silent(1), notSent(2), other(3, b1), giveUp(), ends(t, 0b00001, 0b00010), ends(t, 0, 0),
		done(4, 1), ends(t, 0b10000, 0))
	try(3, done(0, 1), giveUp(), ends(t, 0b001, 0), silent(1), ends(t, 0, 0b010), other(2, b1), ends(t, 0, 0))
	try(3, giveUp(), silent(1), ends(t, 0, 0b010), done(1, 1), ends(t, 0b010, 0)) // it had the key after all
	try(3, giveUp(), notSent(1), over(0), ends(t, 0, 0))
	try(5, other(0, b1), other(1, b1), other(2, b1), ends(t, 0, 0), done(3, 1), ends(t, 0b01000, 0))
	try(3, done(0, 7), done(1, 5), writes(t, 0b010), wrote(1, wire.None), writes(t, 0), ends(t, 0b011, 0))
}

// One that is granted is ended nowhere: who comes late has its key.
func TestStragglersAreAdopted(t *testing.T) {
	for _, n := range []int{3, 5, 7} {
		got := vote.NewTry(n, false)
		for i := range n {
			got.Took(i, wire.Done, 7, wire.ID{})
			if want := i+1 >= vote.Quorum(n); want != (got.Verdict() == vote.Granted) {
				t.Errorf("of %d, after %d: %v", n, i+1, got.Verdict())
			}
		}
		if plain, keepOut := got.Ends(); plain|keepOut != 0 {
			t.Errorf("of %d, %b and %b are to be ended", n, plain, keepOut)
		}
		if took, _, _ := got.Answered(); took != vote.All(n) {
			t.Errorf("of %d, %b have the key", n, took)
		}
	}
}

// A copy goes on by itself.
func TestCopy(t *testing.T) {
	one := try(3, done(0, 7))
	two := *one
	done(1, 7)(&two)
	other(1, b1)(one)
	other(2, b1)(one)
	if one.Verdict() != vote.Held || two.Verdict() != vote.Granted {
		t.Errorf("verdicts %v and %v, want Held and Granted", one.Verdict(), two.Verdict())
	}
}

func TestNoAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		got := vote.NewTry(5, false)
		for i := range 5 {
			got.Took(i, wire.Done, uint64(i), wire.ID{})
			w := got.Writes()
			for j := range 5 {
				if w.Has(j) {
					got.Wrote(j, wire.Done)
				}
			}
		}
		if got.Verdict() != vote.Granted {
			t.Errorf("verdict %v", got.Verdict())
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
