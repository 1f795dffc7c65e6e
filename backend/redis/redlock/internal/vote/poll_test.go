package vote_test

import (
	"testing"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// In any order of answers, a poll says yes or no only when no further answer can change it, and
// does not say undecided when all is told.
func TestPoll(t *testing.T) {
	const silent = wire.Outcome(0)
	for _, n := range []int{3, 5, 7} {
		quorum, polls := n/2+1, 1
		for range n {
			polls *= 3
		}
		for p := range polls {
			poll := vote.NewPoll(n)
			yes, no, silents := 0, 0, 0
			for i, rest := 0, p; i < n; i, rest = i+1, rest/3 {
				switch o := []wire.Outcome{wire.Done, wire.None, silent}[rest%3]; o {
				case silent:
					poll.Silent(i)
					silents++
				case wire.Done:
					poll.Told(i, o)
					yes++
				default:
					poll.Told(i, o)
					no++
				}
				want := vote.Undecided
				switch {
				case yes >= quorum:
					want = vote.Yes
				case n-no < quorum:
					want = vote.No
				case i == n-1:
					want = vote.Unknown
				}
				if got := poll.Answer(); got != want {
					t.Fatalf("of %d, %d yes, %d no and %d silent: %v, want %v", n, yes, no, silents, got, want)
				}
			}
		}
	}
}

func TestPollOfOneNode(t *testing.T) {
	poll := vote.NewPoll(3)
	poll.Told(0, wire.Done)
	poll.Told(0, wire.Done)
	poll.Silent(0)
	poll.Silent(1)
	poll.Told(1, wire.Other) // it was late
	poll.Told(2, wire.Ended)
	if poll.Answer() != vote.No || poll.Yes() != 0b001 || poll.No() != 0b110 {
		t.Errorf("%v: %b yes, %b no", poll.Answer(), poll.Yes(), poll.No())
	}
}

// A node is repaired if nobody has its key, and only when a majority has renewed the lease.
func TestRepairs(t *testing.T) {
	poll := vote.NewPoll(5)
	for _, c := range []struct {
		node int
		o    wire.Outcome
		want vote.Set
	}{
		{0, wire.None, 0},
		{1, wire.Done, 0},
		{2, wire.Done, 0},
		{3, wire.Done, 0b00001},
		{3, wire.Done, 0}, // once
		{4, wire.Other, 0},
	} {
		poll.Told(c.node, c.o)
		if got := poll.Repairs(); got != c.want {
			t.Errorf("after node %d: %b are to be repaired, want %b", c.node, got, c.want)
		}
	}
	lost := vote.NewPoll(3)
	for i := range 3 {
		lost.Told(i, []wire.Outcome{wire.Done, wire.None, wire.None}[i])
		if lost.Repairs() != 0 {
			t.Errorf("a lease that a majority has not is repaired")
		}
	}
}
