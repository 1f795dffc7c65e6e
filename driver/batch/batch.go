// Package batch lets the requests of many callers of one client go to a server together, where it costs
// the server about the same whatever is in one request. [Sender] is for backends.
package batch

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrNotTaken is the error of a part whose Patience was over before it was sent. It never is.
var ErrNotTaken = errors.New("the request still waited for others when its time was over, and was not sent")

const (
	// maxInFlight is InFlight where that is 0: so many that a few callers never wait for each other.
	maxInFlight = 4
	// maxParts is how many parts go together at the most, unless Parts says otherwise, or the server takes
	// fewer: see Lower.
	maxParts = 64
	// moment is how long a part waits before its context is asked for the channel that tells of its end.
	// Mostly it has its answer by then, and with some contexts the channel costs more than the wait.
	moment = time.Millisecond
	// stall is how long all requests that are under way are without an answer before others go beside them: one
	// connection may hang while the server answers on others.
	stall = 500 * time.Millisecond
	// maxStalled is how many requests may be under way in all, beyond those that are without a stall.
	maxStalled = 8
	// maxUnused is how many waiters are kept to be used again.
	maxUnused = 1024
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
	// at once. It does not keep the slice of parts, which is used again.
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

	// InFlight is how many requests are under way before further parts wait. 0 means 4.
	InFlight int

	// Parts is how many parts go together at the most. 0 means 64.
	Parts int

	// Gather says that further parts wait until all requests that are under way have been answered, and then go
	// together, so that there are few requests where each costs the server much. InFlight then counts
	// parts: so many go each by itself, and one more has the next ones wait.
	Gather bool

	// Patience, if it is not nil, is how long a part waits to be taken at the most. Then Do returns
	// ErrNotTaken. The time of a part that has been taken does not count.
	Patience func(part P) time.Duration

	mu       sync.Mutex
	inFlight int             // requests
	live     int             // those of them that have not stalled
	underWay int             // parts in the live ones
	epoch    int             // of the live ones: the number of stalls
	progress time.Time       // when one of them was answered last, or the first began
	fewer    int             // parts go together at the most, if it is not 0
	busy     map[string]bool // locks about which no part may go now
	waiting  []*waiter[P, A]
	unused   []*waiter[P, A]  // to be used again: a caller that comes back needs no memory
	spare    []*request[P, A] // likewise
}

// Do sends a part about a lock and returns its answer. Parts about "" go together with any other.
//
// If ctx ends first, the part is sent or not, and the caller has to reckon with both. Do returns within a
// millisecond. Cancel against take: if the part still waits, it is removed here and never sent; if it has
// been taken, it is under way, and its answer is dropped. With a context that never ends a part is never
// taken back.
//
// End of patience against take: if the part still waits, it is removed here, under the mutex that take
// needs to find it, and so ErrNotTaken says for certain that it was never sent. If it has been taken, it
// is under way, and its answer is waited for as if it had no patience.
func (s *Sender[P, A]) Do(ctx context.Context, lock string, part P) (A, error) {
	s.mu.Lock()
	if s.free() && (!s.Exclusive || s.mark(lock)) {
		epoch := s.begin(1)
		s.mu.Unlock()
		defer s.answered(lock, epoch)
		return s.Alone(ctx, part)
	}
	w := s.wait(lock, part)
	s.mu.Unlock()
	patience := forever
	if s.Patience != nil {
		patience = s.Patience(part)
	}
	next := min(patience, moment)
	var ended <-chan struct{} // not asked for yet
	for over := w.after(next); ; {
		select {
		case <-w.answered: // it will be: each request that is under way is answered, or fails
			answer, err := w.answer, w.err
			s.mu.Lock()
			s.reuse(w)
			s.mu.Unlock()
			return answer, err
		case <-over:
			ended, over = ctx.Done(), nil
			s.pass()
			if patience -= next; patience > 0 {
				next = min(patience, max(stall, 2*next))
				over = w.after(next)
			} else if s.takeBack(w) {
				var none A
				return none, ErrNotTaken
			}
		case <-ended:
			s.takeBack(w)
			var none A
			return none, context.Cause(ctx)
		}
	}
}

// free reports whether a part may go by itself. Called with mu held.
func (s *Sender[P, A]) free() bool {
	limit := cmp.Or(s.InFlight, maxInFlight)
	switch {
	case s.inFlight >= limit+maxStalled:
		return false
	case s.Gather:
		return s.live == 0 || s.underWay < limit && len(s.waiting) == 0
	}
	return s.live < limit
}

// begin notes a request, and returns its epoch. Called with mu held.
func (s *Sender[P, A]) begin(parts int) (epoch int) {
	if s.live == 0 {
		s.progress = time.Now()
	}
	s.inFlight, s.live, s.underWay = s.inFlight+1, s.live+1, s.underWay+parts
	return s.epoch
}

// end notes that a request has been answered. Called with mu held.
func (s *Sender[P, A]) end(parts, epoch int) {
	s.inFlight--
	if epoch == s.epoch { // else it counted as stalled
		s.live, s.underWay, s.progress = s.live-1, s.underWay-parts, time.Now()
	}
}

// pass sends parts that wait beside requests that have stalled. From then on these do not count: an answer of one
// of them only makes room.
func (s *Sender[P, A]) pass() {
	s.mu.Lock()
	if s.live == 0 || len(s.waiting) == 0 || time.Since(s.progress) < stall || s.inFlight >= cmp.Or(s.InFlight, maxInFlight)+maxStalled {
		s.mu.Unlock()
		return
	}
	s.epoch++
	s.live, s.underWay = 0, 0
	r := s.take(nil)
	s.mu.Unlock()
	if r != nil {
		s.Go(func() { s.run(r) })
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
func (s *Sender[P, A]) answered(lock string, epoch int) {
	s.mu.Lock()
	delete(s.busy, lock)
	s.end(1, epoch)
	r := s.take(nil)
	s.mu.Unlock()
	if r != nil {
		s.Go(func() { s.run(r) })
	}
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
