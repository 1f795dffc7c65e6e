package batch

import (
	"cmp"
	"sync"
)

// request is what goes together.
type request[P, A any] struct {
	waiters []*waiter[P, A] // each is its caller's again once it is answered
	parts   []P
	locks   []string
}

// run sends parts, and then those that wait, until none may go.
func (s *Sender[P, A]) run(r *request[P, A]) {
	for r != nil {
		s.send(r.waiters, r.parts)
		s.mu.Lock()
		for _, lock := range r.locks {
			delete(s.busy, lock)
		}
		s.underWay -= len(r.parts)
		r = s.take(r)
		s.mu.Unlock()
	}
}

// take returns the first of the waiting parts that may go together, in the place of a request that has
// been answered, last if it is not nil. If there is none, fewer requests are under way from here on: a
// part that is kept back by another about the same lock is taken when that is answered, at the latest.
// Called with mu held.
func (s *Sender[P, A]) take(last *request[P, A]) *request[P, A] {
	r := last
	if s.Gather && s.inFlight > 1 { // the last of them to be answered takes all that wait
		if r != nil {
			r.empty()
			s.spare = append(s.spare, r)
		}
		s.inFlight--
		return nil
	}
	if end := len(s.spare) - 1; r == nil && len(s.waiting) > 0 && end >= 0 {
		r, s.spare = s.spare[end], s.spare[:end]
	} else if r == nil && len(s.waiting) > 0 {
		r = &request[P, A]{}
	}
	if r != nil {
		r.fill(s)
		if len(r.parts) > 0 {
			return r
		}
		s.spare = append(s.spare, r)
	}
	s.inFlight--
	return nil
}

// fill puts into a request what may go. Called with mu of the Sender held.
func (r *request[P, A]) fill(s *Sender[P, A]) {
	r.empty()
	limit, size := cmp.Or(s.fewer, s.Parts, maxParts), 0
	rest := s.waiting[:0]
	for i, w := range s.waiting {
		n := 0
		if s.Size != nil {
			n = s.Size(w.part)
		}
		if len(r.parts) == limit || len(r.parts) > 0 && size+n > s.MaxSize && s.Size != nil {
			rest = append(rest, s.waiting[i:]...)
			break
		}
		if !s.mark(w.lock) {
			rest = append(rest, w)
			continue
		}
		r.waiters, r.parts, r.locks = append(r.waiters, w), append(r.parts, w.part), append(r.locks, w.lock)
		size += n
	}
	s.underWay += len(r.parts)
	clear(s.waiting[len(rest):])
	s.waiting = rest
	if !s.Exclusive {
		clear(s.busy)
	}
}

func (r *request[P, A]) empty() {
	clear(r.waiters)
	clear(r.parts)
	clear(r.locks)
	r.waiters, r.parts, r.locks = r.waiters[:0], r.parts[:0], r.locks[:0]
}

// send sends parts together, or one after a refusal, and gives each its answer.
func (s *Sender[P, A]) send(waiters []*waiter[P, A], parts []P) {
	answers, err := s.Together(parts)
	if len(parts) > 1 && err != nil && s.Refused(err) {
		var sending sync.WaitGroup
		for i := range waiters {
			sending.Go(func() { s.send(waiters[i:i+1], parts[i:i+1]) })
		}
		sending.Wait()
		return
	}
	for i, w := range waiters {
		if w.err = err; err == nil {
			w.answer = answers[i]
		}
		w.answered <- struct{}{}
	}
}
