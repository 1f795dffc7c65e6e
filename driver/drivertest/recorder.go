package drivertest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// recorder is the suite's own T. It belongs to one rule, is safe for concurrent
// use, and ignores what comes after the rule has ended: a stray goroutine must
// not make the next test panic.
type recorder struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	quote  string // the rule, added to every failure

	mu       sync.Mutex
	log      func(format string, args ...any) // nil: not kept
	fail     func(msg string)
	failed   bool
	closed   bool
	cleanups []func()
}

func newRecorder(ctx context.Context, name string) *recorder {
	ctx, cancel := context.WithCancel(ctx)
	return &recorder{name: name, ctx: ctx, cancel: cancel}
}

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return r.name }
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log != nil && !r.closed {
		r.log(format, args...)
	}
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
	if !r.closed {
		r.fail(fmt.Sprintf(format, args...) + r.quote)
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// end cancels the context and runs the clean-ups, last first. The watchdog may
// call it while the rule is stuck, and the rule again: each clean-up runs once.
func (r *recorder) end() {
	r.cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		f := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		f()
	}
}

func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// ruleTimeout is how long a rule may take. Those that wait for leases to run out
// need a few TTLs; a fail-over may need a minute.
func ruleTimeout(h *Harness) time.Duration {
	return 2*time.Minute + 30*h.TTL + 10*h.Slack
}

// watch runs one rule in a goroutine of its own, and fails it if it does not end.
func watch(rec *recorder, h *Harness, rule Rule) {
	defer rec.close()
	rec.quote = fmt.Sprintf("\n\trule %s: %s\n\tseed %d", rule.Name, rule.Sentence, h.Seed)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer rec.end() // also when Fatalf ends the goroutine
		rule.check(newFixture(rec, h, rule))
	}()
	dog := time.NewTimer(ruleTimeout(h))
	defer dog.Stop()
	select {
	case <-done:
		return
	case <-dog.C:
	}
	stacks := make([]byte, 1<<16)
	stacks = stacks[:runtime.Stack(stacks, true)]
	rec.Errorf("the rule did not end within %v", ruleTimeout(h))
	rec.Logf("goroutines when the time was over:\n%s", stacks)
	rec.end() // closing the backends may set the rule free
	dog.Reset(h.Slack)
	select {
	case <-done:
	case <-dog.C:
		rec.Logf("the rule is stuck for good: its goroutine is left behind")
	}
}
