package sim

import "time"

// schedule is virtual time: what is to happen, in the order of when. What happens at the
// same moment happens in the order in which it was planned, so that a run is one sequence.
type schedule struct {
	now     time.Duration // since the world began
	planned uint64
	heap    []event
}

type event struct {
	at    time.Duration
	order uint64
	run   func()
}

func (e event) before(o event) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// at plans something for a moment, or for now if that has passed.
func (s *schedule) at(when time.Duration, run func()) {
	s.planned++
	s.heap = append(s.heap, event{max(when, s.now), s.planned, run})
	i := len(s.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !s.heap[i].before(s.heap[parent]) {
			break
		}
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
		i = parent
	}
}

func (s *schedule) after(d time.Duration, run func()) { s.at(s.now+d, run) }

// step lets the next thing happen. It reports false when nothing is left.
func (s *schedule) step() bool {
	if len(s.heap) == 0 {
		return false
	}
	next := s.heap[0]
	last := len(s.heap) - 1
	s.heap[0] = s.heap[last]
	s.heap[last] = event{}
	s.heap = s.heap[:last]
	s.sink()
	s.now = next.at
	next.run()
	return true
}

func (s *schedule) sink() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if s.heap[child].before(s.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.heap[i], s.heap[least] = s.heap[least], s.heap[i]
		i = least
	}
}
