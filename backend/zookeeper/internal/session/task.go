package session

import (
	"context"
	"time"
)

// Task is work that goes on, on a goroutine of its own, whether or not its caller still waits for
// it. go-zookeeper's calls know no context, and block while there is no connection. What must not
// be lost, such as the name of a node that is created late, the work itself records.
type Task struct {
	pool *Pool
	done chan struct{} // closed at the end
	err  error
}

func (p *Pool) newTask() *Task { return &Task{pool: p, done: make(chan struct{})} }

// Wait waits for the end of a task, which comes when its connection ends at the latest.
func (t *Task) Wait() error {
	<-t.done
	return t.err
}

// Start begins a task. Once Close has begun it fails at once.
func (p *Pool) Start(work func() error) *Task {
	t, ok := p.Begin()
	if ok {
		go func() { t.End(work()) }()
	}
	return t
}

// Begin begins a task of which the caller does the work: on a goroutine of its own, which calls End.
// Once Close has begun the task has failed, and ok is false. It saves Start's second closure.
func (p *Pool) Begin() (t *Task, ok bool) {
	t = p.newTask()
	return t, t.begin()
}

// begin reports whether the work can begin. If it cannot, the task has ended.
func (t *Task) begin() bool {
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	if t.pool.closed {
		t.err = ErrClosed
		close(t.done)
		return false
	}
	t.pool.running.Add(1)
	return true
}

// End ends a task that has begun.
func (t *Task) End(err error) {
	defer t.pool.running.Done()
	t.err = err
	close(t.done)
}

// goes calls f on a goroutine for which Close waits, unless Close has begun.
func (p *Pool) goes(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.running.Go(f)
	}
	return !p.closed
}

// Ask starts a task that has an answer, and waits for it as Session.Await does.
func Ask[T any](ctx context.Context, s *Session, timeout time.Duration, call func() (T, error)) (T, error) {
	answers := make(chan T, 1) // so that an answer that nobody waits for is dropped
	err := s.Await(ctx, s.pool.Start(func() error {
		a, err := call()
		answers <- a
		return err
	}), timeout)
	select {
	case a := <-answers:
		return a, err
	default:
		var none T
		return none, err
	}
}

// moment is how long Await waits before it asks the context for the channel that tells of its end.
// Mostly there is an answer by then, and with the contexts of our core the channel costs more
// allocations than all else here.
const moment = 10 * time.Millisecond

// Await waits for a task until its caller's context ends, the session dies, or the timeout has
// passed. If the server was silent for the whole timeout, the session looks for another server.
//
// A cancellation is seen up to a moment late, a deadline is not. Success against cancellation: if
// both have come, either may be returned. The task goes on in any case, see Task.
func (s *Session) Await(ctx context.Context, t *Task, timeout time.Duration) error {
	begun := time.Now()
	first := min(timeout, moment)
	if ends, ok := ctx.Deadline(); ok {
		first = min(first, max(ends.Sub(begun), 0))
	}
	select {
	case <-t.done:
		return t.err
	default:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	timer := s.pool.timer(first)
	defer s.pool.reuse(timer)
	var ended <-chan struct{} // not asked for yet
	for left := timeout - first; ; {
		select {
		case <-t.done:
			return t.err
		case <-ended:
			return context.Cause(ctx)
		case <-s.dead:
			return ErrExpired
		case <-s.pool.Closing.Done():
			return ErrClosed
		case <-timer.C:
			if left > 0 {
				ended = ctx.Done()
				timer.Reset(left)
				left = 0
				continue
			}
			s.link.cutIfSilent(begun)
			return s.link.tooLate(timeout)
		}
	}
}

// timer returns one that fires after d.
func (p *Pool) timer(d time.Duration) *time.Timer {
	if t, ok := p.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

// reuse keeps a timer for the next wait, unless it has fired.
func (p *Pool) reuse(t *time.Timer) {
	if t.Stop() {
		p.timers.Put(t)
	}
}

// Start begins a task, as Pool.Start does.
func (s *Session) Start(work func() error) *Task { return s.pool.Start(work) }
