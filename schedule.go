package fencelock

import (
	"container/heap"
	"math"
	"time"
)

// schedule has leases in the order of the times at which something is due. A timer fires for the first.
// Whoever uses it guards it. Times are counted from Client.made.
//
// A lease that is taken out leaves the timer as it is: for locks that are locked and unlocked in turn it
// would be set and stopped all the time, while once in a third of a TTL it costs nothing.
type schedule struct {
	slot func(l *Lease) *slot // of this schedule
	fire func()               // what the timer does; it calls fired first
	made time.Time            // Client.made

	leases []*Lease      // a heap
	timer  *time.Timer   // nil until it is needed
	next   time.Duration // when it fires
}

// slot is the place of a lease in a schedule.
type slot struct {
	at    time.Duration
	place int // in leases, from 1; 0 if it is not there
}

// never comes after all other times.
const never = time.Duration(math.MaxInt64)

// put enters a lease, or moves it.
func (s *schedule) put(l *Lease, at time.Duration) {
	slot := s.slot(l)
	slot.at = at
	if slot.place == 0 {
		heap.Push(s, l)
	} else {
		heap.Fix(s, slot.place-1)
	}
}

// remove takes a lease out, if it is there.
func (s *schedule) remove(l *Lease) {
	if place := s.slot(l).place; place > 0 {
		heap.Remove(s, place-1)
	}
}

// first is when the first is due, or never.
func (s *schedule) first() time.Duration {
	if len(s.leases) == 0 {
		return never
	}
	return s.slot(s.leases[0]).at
}

// allAt makes all due at a time. That is a heap, too.
func (s *schedule) allAt(at time.Duration) {
	for _, l := range s.leases {
		s.slot(l).at = at
	}
}

// arm sets the timer for the first, unless it fires sooner.
func (s *schedule) arm() {
	at := s.first()
	switch {
	case at == never, s.timer != nil && s.next <= at:
		return
	case s.timer == nil:
		s.timer = time.AfterFunc(at-time.Since(s.made), s.fire)
	default:
		s.timer.Reset(at - time.Since(s.made))
	}
	s.next = at
}

// fired notes that the timer has fired.
func (s *schedule) fired() { s.next = never }

// stop stops the timer. It may be armed again.
func (s *schedule) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.next = never
}

// The methods of heap.Interface.

func (s *schedule) Len() int           { return len(s.leases) }
func (s *schedule) Less(i, j int) bool { return s.slot(s.leases[i]).at < s.slot(s.leases[j]).at }
func (s *schedule) Swap(i, j int) {
	s.leases[i], s.leases[j] = s.leases[j], s.leases[i]
	s.slot(s.leases[i]).place, s.slot(s.leases[j]).place = i+1, j+1
}

func (s *schedule) Push(x any) {
	l := x.(*Lease)
	s.leases = append(s.leases, l)
	s.slot(l).place = len(s.leases)
}

func (s *schedule) Pop() any {
	last := len(s.leases) - 1
	l := s.leases[last]
	s.leases[last] = nil
	s.leases = s.leases[:last]
	s.slot(l).place = 0
	return l
}
