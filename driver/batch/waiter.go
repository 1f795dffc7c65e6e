package batch

import (
	"math"
	"slices"
	"time"
)

// waiter is a part that does not go by itself, on its caller's goroutine. It is used again, but only by
// one that nobody else knows any more: a caller that has its answer, or that has taken its part back. If
// the caller leaves while the part is under way, the waiter is dropped, or its answer would be the next
// caller's.
type waiter[P, A any] struct {
	lock     string
	part     P
	answered chan struct{} // of capacity 1; what is sent there is the last that the Sender does with it
	timer    *time.Timer   // nil until it is needed
	answer   A
	err      error
}

// wait enters a part that has to wait. Called with mu held.
func (s *Sender[P, A]) wait(lock string, part P) *waiter[P, A] {
	var w *waiter[P, A]
	if last := len(s.unused) - 1; last >= 0 {
		w, s.unused = s.unused[last], s.unused[:last]
	} else {
		w = &waiter[P, A]{answered: make(chan struct{}, 1)}
	}
	w.lock, w.part = lock, part
	s.waiting = append(s.waiting, w)
	return w
}

// forever is the patience of a part where there is no bound.
const forever = time.Duration(math.MaxInt64)

// after is time.After.
func (w *waiter[P, A]) after(d time.Duration) <-chan time.Time {
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d) // which drops what an earlier use may have left in the channel
	}
	return w.timer.C
}

// takeBack removes a part that still waits, and reports whether it did.
func (s *Sender[P, A]) takeBack(w *waiter[P, A]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, w)
	if i < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.reuse(w)
	return true
}

// reuse keeps a waiter that nobody knows any more for the next that needs one. Called with mu held.
func (s *Sender[P, A]) reuse(w *waiter[P, A]) {
	w.timer.Stop()
	*w = waiter[P, A]{answered: w.answered, timer: w.timer}
	if len(s.unused) < maxUnused {
		s.unused = append(s.unused, w)
	}
}
