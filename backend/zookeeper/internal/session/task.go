package session

import (
	"context"
	"time"
)

// Task is work that goes on, on a goroutine of its own, whether or not its caller still waits for
// it. go-zookeeper's calls know no context, and block while there is no connection. What must not
// be lost, such as the name of a node that is created late, the work itself records.
type Task struct {
	done chan struct{} // closed at the end
	err  error
}

func newTask() *Task { return &Task{done: make(chan struct{})} }

// Wait waits for the end of a task, which comes when its connection ends at the latest.
func (t *Task) Wait() error {
	<-t.done
	return t.err
}

// Start begins a task. Once Close has begun it fails at once.
func (p *Pool) Start(work func() error) *Task {
	t := newTask()
	p.run(t, work)
	return t
}

// run begins the given task, and reports whether it could.
func (p *Pool) run(t *Task, work func() error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		t.err = ErrClosed
		close(t.done)
		return false
	}
	p.running.Add(1)
	go p.work(t, work)
	return true
}

func (p *Pool) work(t *Task, work func() error) {
	defer p.running.Done()
	t.err = work()
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

// Await waits for a task until its caller's context ends, the session dies, or the timeout has
// passed. If the server was silent for the whole timeout, the session looks for another server.
func (s *Session) Await(ctx context.Context, t *Task, timeout time.Duration) error {
	select {
	case <-t.done: // the usual case costs no timer
		return t.err
	default:
	}
	begun := time.Now()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.dead:
		return ErrExpired
	case <-s.pool.Closing.Done():
		return ErrClosed
	case <-timer.C:
		s.link.cutIfSilent(begun)
		return s.link.tooLate(timeout)
	}
}

// Start begins a task, as Pool.Start does.
func (s *Session) Start(work func() error) *Task { return s.pool.Start(work) }
