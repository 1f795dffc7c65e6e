package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestScheduleKeepsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s schedule
	type stamp struct {
		at    time.Duration
		order int
	}
	var got []stamp
	for order := range 1000 {
		at := time.Duration(r.IntN(50))
		s.at(at, func() {
			if s.now != at {
				t.Fatalf("planned for %v, happens at %v", at, s.now)
			}
			got = append(got, stamp{at, order})
		})
	}
	s.at(25, func() { s.at(3, func() { got = append(got, stamp{25, 1001}) }) }) // the past is now
	for s.step() {
	}
	if len(got) != 1001 || !slices.IsSortedFunc(got, func(a, b stamp) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.order - b.order
	}) {
		t.Errorf("%d things, not in order", len(got))
	}
}
