package node

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A server that slept (its process was stopped, its machine paused) answers on waking what is queued in its
// sockets, as if no time had passed. Meanwhile another may have taken its place, and have granted the same lock.
// So with a Place an answer counts only if the server was still the one when it gave it.
//
// What is known: those who decide name another server only when this one has been silent towards them for
// 2·Silence. For each location, heard is a time such that the server, while it was the one, has done something at
// heard or later. So if it falls asleep it does so after heard, and no other is named before heard + 2·Silence. An
// answer that is read at R was given before R. Hence:
//
//	R ≤ heard + Silence: the answer was given before any other could be named. It counts. The other half of the
//	                     time is for clocks that are not exact, and for those who decide to be a little early.
//	otherwise:           Vouch, begun after R. If those who decide still name this server, they have named no
//	                     other before that, and so not before the answer was given. It counts. Otherwise nobody
//	                     knows: the caller gets an error, as if there had been no answer.
//
// An answer that counts was given after its request was sent, by the server while it was the one: so heard becomes
// the time at which the request was sent, if that is later. It never becomes the time of the answer, nor that of
// Vouch: when those are read the server may already be asleep, for almost 2·Silence, and what it does on waking
// would be believed for another Silence.
//
//   - Several requests at a time, on several connections: each looks at the newest heard. A slow request that is
//     answered while quick ones keep heard new counts by them, and its own old send time changes nothing. When the
//     server wakes after it was replaced, all requests that it answers were read by it after that, so R is later
//     than heard + 2·Silence for each, and an answer that does not count leaves heard as it was.
//   - This process sleeps after an answer has come into its socket: R is read after it wakes, so the answer looks
//     old, and Vouch is asked now. If it sleeps after R was read, the lease's own time runs on: the core
//     counts it from when the request was sent.
//   - Moved comes first: the answer is of a location that is not the present one, and does not count. Moved comes
//     after the look at the location: the answer counts, as it was given before another was named (above), and
//     Moved tells of that later. Where the answer is from a location that was left and is come back to, it does
//     not count either: that is another location.
//   - Vouch begins after R, not after the request was sent: else those who decide could say that the server is the
//     one, name another, and the server would then wake and answer. So a Vouch under way is of no use to an answer
//     that comes now, and those that come wait together for the next.
//
// What remains: those who decide cannot reach the server, but this process can; then the server is not asleep, and
// nothing shows until the Place hears of it and calls Moved. And if this machine and that of the server are both
// suspended, the monotonic clock here may stand still.
//
// An error of the server does not need Vouch: it grants nothing. It says that the server has done nothing, which
// stays true whoever is the one, or leaves the outcome open.

// tooOld reports whether what the server has answered at a location, and was read at got, needs Vouch.
func (l *locator) tooOld(at *location, got time.Time) bool {
	return got.Sub(l.made)-time.Duration(at.heard.Load()) > l.place.Silence()
}

// accept returns nil if an answer counts that has been read just now, to a request that was sent at a time to a
// location. Vouch takes timeout at the most. If ctx ends first, accept returns its cause.
func (l *locator) accept(ctx context.Context, at *location, sent time.Time, timeout time.Duration) error {
	got := time.Now()
	if l.left(at) {
		return l.elsewhere(at)
	}
	if l.tooOld(at, got) {
		if err := l.vouch(ctx, at, timeout); err != nil {
			return err
		}
		if l.left(at) {
			return l.elsewhere(at)
		}
	}
	at.hear(sent.Sub(l.made))
	return nil
}

// hear makes heard a time, if it is later.
func (at *location) hear(sent time.Duration) {
	for {
		heard := at.heard.Load()
		if int64(sent) <= heard || at.heard.CompareAndSwap(heard, int64(sent)) {
			return
		}
	}
}

// vouching has one question to the Place under way at a time, and the next one that those who came meanwhile wait
// for.
type vouching struct {
	mu             sync.Mutex
	underWay, next *question
}

// question is one Vouch. Each who waits for it had its answer before it began.
type question struct {
	ctx     context.Context // ends when nobody waits any more, too
	cancel  context.CancelFunc
	waiting int           // of vouching.mu
	done    chan struct{} // closed when err is set
	err     error
}

// vouch asks the Place whether the server is at a location, from now on.
func (l *locator) vouch(ctx context.Context, at *location, timeout time.Duration) error {
	q, err := l.join(at)
	if err != nil {
		return err
	}
	defer at.vouching.leave(q)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-q.done:
		err = q.err
	case <-timer.C:
		err = tooLate("nobody has said so", timeout, 0)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	// The text alone: the error may be a refusal of somebody else, or a context's, and says nothing of the request.
	return replaced(fmt.Sprintf("the answer of %s came late, and counts only if it is the server still: %v", at.addr, err))
}

// join returns a question that begins after now.
func (l *locator) join(at *location) (*question, error) {
	v := &at.vouching
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next != nil {
		v.next.waiting++
		return v.next, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	q := &question{waiting: 1, done: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(at.over)
	if v.underWay != nil {
		v.next = q
	} else {
		v.underWay = q
		l.running.Go(func() { l.ask(at, q) })
	}
	return q, nil
}

// ask asks a question, and then those that have come meanwhile.
func (l *locator) ask(at *location, q *question) {
	v := &at.vouching
	for q != nil {
		q.err = l.place.Vouch(q.ctx, at.addr)
		v.mu.Lock()
		close(q.done)
		q = v.next
		v.underWay, v.next = q, nil
		v.mu.Unlock()
	}
}

// leave ends the wait for a question. If nobody else waits, it ends, or is not asked at all.
func (v *vouching) leave(q *question) {
	v.mu.Lock()
	defer v.mu.Unlock()
	q.waiting--
	if q.waiting > 0 {
		return
	}
	q.cancel()
	if v.next == q {
		v.next = nil
	}
}
