package suspend

import (
	"sync"
	"time"
)

// Alarm tells of wake-ups.
type Alarm interface {
	// Wait returns when there is reason to compare the clocks. set says that the wall
	// clock has made a jump: at a wake-up, or because somebody has set it. After Close
	// it returns an error.
	Wait() (set bool, err error)
	Close()
}

// watch calls those who want to know of wake-ups. It has one goroutine and one Alarm,
// however many they are, and none if there is nobody.
type watch struct {
	mu    sync.Mutex
	calls map[*func()]struct{}
	stop  func() // of the goroutine, while there is one
}

// Watch has f called after each wake-up and each step of the wall clock, milliseconds
// later. f must not block. After stop, at most a call that has begun is finished; the last
// stop waits for the goroutine.
func (c *Clock) Watch(f func()) (stop func()) {
	if c == nil {
		return func() {}
	}
	w := &c.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) == 0 {
		w.calls = make(map[*func()]struct{})
		w.stop = c.start()
	}
	w.calls[&f] = struct{}{}
	return sync.OnceFunc(func() {
		w.mu.Lock()
		delete(w.calls, &f)
		end := func() {}
		if len(w.calls) == 0 {
			end = w.stop
		}
		w.mu.Unlock()
		end() // not under mu, which the goroutine takes
	})
}

func (c *Clock) start() (stop func()) {
	a := c.alarm()
	ended := make(chan struct{})
	c.Look() // what was while nobody watched is nobody's concern
	seen := c.past.Load().woke
	go func() {
		defer close(ended)
		for {
			set, err := a.Wait()
			if err != nil {
				return
			}
			if set {
				c.told()
			} else {
				c.Look()
			}
			// Somebody else may have looked first.
			if woke := c.past.Load().woke; woke != seen {
				seen = woke
				c.watch.callAll()
			}
		}
	}()
	return func() {
		a.Close()
		<-ended
	}
}

func (w *watch) callAll() {
	w.mu.Lock()
	calls := make([]func(), 0, len(w.calls))
	for f := range w.calls {
		calls = append(calls, *f)
	}
	w.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

func (c *Clock) alarm() Alarm {
	if c.source.Alarm != nil {
		if a, err := c.source.Alarm(); err == nil {
			return a
		}
	}
	return &ticker{ticks: time.NewTicker(pace), closed: make(chan struct{})}
}

// pace is how often the clocks are compared where the kernel tells of no wake-ups, as in
// some sandboxes.
const pace = 250 * time.Millisecond

// ticker is an Alarm that needs no kernel.
type ticker struct {
	ticks  *time.Ticker
	closed chan struct{}
}

func (t *ticker) Wait() (bool, error) {
	select {
	case <-t.ticks.C:
		return false, nil
	case <-t.closed:
		return false, errClosed
	}
}

func (t *ticker) Close() {
	t.ticks.Stop()
	close(t.closed)
}
