// Package batch lets the requests of many callers of one client go to a server together, where it costs
// the server about the same whatever is in one request. [Sender] is for backends.
package batch

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

const (
	// maxInFlight is how many requests are under way before further parts wait: so many that a few
	// callers never wait for each other.
	maxInFlight = 4
	// maxParts is how many parts go together at the most, unless the server takes fewer: see Lower.
	maxParts = 64
)

// Sender sends parts, each of which is what one caller asks of the server about one lock: each by itself
// while few requests are under way. Further parts wait for one of them to be answered, and then go
// together. A lone caller is not delayed, and pays nothing.
//
// The fields are set before the first call of Do. P is the type of a part, A that of its answer.
type Sender[P, A any] struct {
	// Alone sends a part by itself, on its caller's goroutine and with its context.
	Alone func(ctx context.Context, part P) (A, error)

	// Together sends parts in one request, for nobody's context, and returns their answers in order. An
	// error is that of each part. There may be one part only. Once the owner's Close has begun it fails
	// at once.
	Together func(parts []P) ([]A, error)

	// Refused reports whether an error of Together says that the server has carried out nothing, since
	// it refused some part. Then each goes by itself, side by side, so that nobody suffers from
	// another's.
	Refused func(err error) bool

	// Go calls f on a goroutine for which the owner's Close waits, or itself once Close has begun.
	Go func(f func())

	// Exclusive says that of the parts about one lock a single one is under way at a time. Otherwise
	// they are only kept out of the same request.
	Exclusive bool

	// Size, if it is not nil, is about how long a part is in a request. Parts go together up to MaxSize.
	// A part that is longer goes all the same.
	Size    func(part P) int
	MaxSize int

	mu       sync.Mutex
	inFlight int             // requests
	fewer    int             // than maxParts go together, if it is not 0
	busy     map[string]bool // locks about which no part may go now
	waiting  []*waiter[P, A]
}

// waiter is a part that does not go by itself, on its caller's goroutine.
type waiter[P, A any] struct {
	lock   string
	part   P
	done   chan struct{} // closed when it is answered
	answer A
	err    error
}

// Do sends a part about a lock and returns its answer. Parts about "" go together with any other.
//
// If ctx ends first, the part is sent or not, and the caller has to reckon with both. Cancel against
// take: if the part still waits, it is removed here and never sent; if it has been taken, it is under
// way, and its answer is dropped. With a context that never ends a part is never taken back.
func (s *Sender[P, A]) Do(ctx context.Context, lock string, part P) (A, error) {
	s.mu.Lock()
	if s.inFlight < maxInFlight && (!s.Exclusive || s.mark(lock)) {
		s.inFlight++
		s.mu.Unlock()
		defer s.answered(lock)
		return s.Alone(ctx, part)
	}
	w := &waiter[P, A]{lock: lock, part: part, done: make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case <-w.done: // it will be: each request that is under way is answered, or fails
		return w.answer, w.err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waiting = slices.DeleteFunc(s.waiting, func(other *waiter[P, A]) bool { return other == w })
		var none A
		return none, context.Cause(ctx)
	}
}

// Lower notes that the server takes no more than so many parts in a request.
func (s *Sender[P, A]) Lower(parts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fewer = max(parts, 1)
}

// Load is how many requests are under way, and how many parts wait.
func (s *Sender[P, A]) Load() (inFlight, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight, len(s.waiting)
}

// answered notes that a part that went by itself has been answered, and sends those that wait.
//
// Close against take: if Close has begun, Go calls run here, and what has been taken fails at once. If
// Close comes later, it waits for the goroutine, whose requests fail at once from then on. Either way
// nobody is left waiting.
func (s *Sender[P, A]) answered(lock string) {
	s.mu.Lock()
	delete(s.busy, lock)
	parts := s.take()
	s.mu.Unlock()
	if len(parts) > 0 {
		s.Go(func() { s.run(parts) })
	}
}

// run sends parts, and then those that wait, until none may go.
func (s *Sender[P, A]) run(parts []*waiter[P, A]) {
	for len(parts) > 0 {
		s.send(parts)
		s.mu.Lock()
		for _, w := range parts {
			delete(s.busy, w.lock)
		}
		parts = s.take()
		s.mu.Unlock()
	}
}

// take returns the first of the waiting parts that may go together, in the place of a request that has
// been answered. If there is none, fewer requests are under way from here on: a part that is kept back
// by another about the same lock is taken when that is answered, at the latest. Called with mu held.
func (s *Sender[P, A]) take() (parts []*waiter[P, A]) {
	limit, size := cmp.Or(s.fewer, maxParts), 0
	rest := s.waiting[:0]
	for i, w := range s.waiting {
		n := 0
		if s.Size != nil {
			n = s.Size(w.part)
		}
		if len(parts) == limit || len(parts) > 0 && size+n > s.MaxSize && s.Size != nil {
			rest = append(rest, s.waiting[i:]...)
			break
		}
		if !s.mark(w.lock) {
			rest = append(rest, w)
			continue
		}
		parts, size = append(parts, w), size+n
	}
	clear(s.waiting[len(rest):])
	s.waiting = rest
	if !s.Exclusive {
		clear(s.busy)
	}
	if len(parts) == 0 {
		s.inFlight--
	}
	return parts
}

// mark reports whether a part about a lock may go now, and notes it if so. Called with mu held.
func (s *Sender[P, A]) mark(lock string) bool {
	if s.busy[lock] {
		return false
	}
	if lock != "" {
		if s.busy == nil {
			s.busy = make(map[string]bool)
		}
		s.busy[lock] = true
	}
	return true
}

func (s *Sender[P, A]) send(waiting []*waiter[P, A]) {
	parts := make([]P, len(waiting))
	for i, w := range waiting {
		parts[i] = w.part
	}
	answers, err := s.Together(parts)
	if len(parts) > 1 && err != nil && s.Refused(err) {
		var sending sync.WaitGroup
		for _, w := range waiting {
			sending.Go(func() { s.send([]*waiter[P, A]{w}) })
		}
		sending.Wait()
		return
	}
	for i, w := range waiting {
		if w.err = err; err == nil {
			w.answer = answers[i]
		}
		close(w.done)
	}
}
