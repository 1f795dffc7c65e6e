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
	epoch   int
}

// run sends parts, and then those that wait, until none may go.
func (s *Sender[P, A]) run(r *request[P, A]) {
	for r != nil {
		s.send(r.waiters, r.parts)
		s.mu.Lock()
		for _, lock := range r.locks {
			delete(s.busy, lock)
		}
		s.end(len(r.parts), r.epoch)
		r = s.take(r)
		s.mu.Unlock()
	}
}

// take returns the first of the waiting parts that may go together, and counts the request. last is one that has
// been answered, if it is not nil, and is used again. A part that is kept back by another about the same lock is
// taken when that is answered, at the latest. Called with mu held.
func (s *Sender[P, A]) take(last *request[P, A]) *request[P, A] {
	r := last
	if r == nil {
		if end := len(s.spare) - 1; end >= 0 {
			r, s.spare = s.spare[end], s.spare[:end]
		} else if len(s.waiting) > 0 {
			r = &request[P, A]{}
		} else {
			return nil
		}
	}
	r.empty()
	if s.live < cmp.Or(s.InFlight, maxInFlight) && (!s.Gather || s.live == 0) { // gathered: the last of them takes all
		r.fill(s)
	}
	if len(r.parts) == 0 {
		s.spare = append(s.spare, r)
		return nil
	}
	r.epoch = s.begin(len(r.parts))
	return r
}

// fill puts into a request what may go. Called with mu of the Sender held.
func (r *request[P, A]) fill(s *Sender[P, A]) {
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
