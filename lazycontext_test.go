package fencelock

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Whether and when somebody asks a lazy context for Done changes nothing of what it says.
func TestLazyContext(t *testing.T) {
	type key struct{}
	why := errors.New("a reason")
	closed := func(c context.Context) bool {
		select {
		case <-c.Done():
			return true
		default:
			return false
		}
	}
	for name, c := range map[string]struct {
		ends       time.Duration
		happens    func(c *lazyContext, cancel context.CancelCauseFunc)
		err, cause error
	}{
		"nothing":                      {0, func(*lazyContext, context.CancelCauseFunc) {}, nil, nil},
		"its parent ends":              {0, func(_ *lazyContext, cancel context.CancelCauseFunc) { cancel(why) }, context.Canceled, why},
		"it is over":                   {0, func(c *lazyContext, _ context.CancelCauseFunc) { c.finish(nil) }, context.Canceled, context.Canceled},
		"it is ended for a reason":     {0, func(c *lazyContext, _ context.CancelCauseFunc) { c.finish(why) }, context.Canceled, why},
		"only the parent of a request": {time.Minute, func(_ *lazyContext, cancel context.CancelCauseFunc) { cancel(why) }, nil, nil},
		"its time ends":                {time.Minute, func(*lazyContext, context.CancelCauseFunc) { time.Sleep(time.Minute) }, context.DeadlineExceeded, context.DeadlineExceeded},
		"a request is over":            {time.Minute, func(c *lazyContext, _ context.CancelCauseFunc) { c.finish(nil) }, context.Canceled, context.Canceled},
	} {
		for _, asked := range []string{"before", "after"} {
			t.Run(name+", asked "+asked, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					from, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, 1))
					defer cancel(nil)
					lazy := &lazyContext{from: from}
					if c.ends > 0 {
						lazy.ends = time.Now().Add(c.ends)
					}
					defer lazy.finish(nil)
					var child context.Context
					if asked == "before" {
						if closed(lazy) || lazy.Err() != nil {
							t.Error("it has ended before anything has happened")
						}
						var stop context.CancelFunc
						child, stop = context.WithCancel(lazy)
						defer stop()
					}
					c.happens(lazy, cancel)
					synctest.Wait()
					if lazy.derived != nil && asked == "after" && !lazy.over {
						t.Error("it was derived, and nobody has asked for Done")
					}
					if got, want := closed(lazy), c.err != nil; asked == "before" && got != want {
						t.Errorf("Done is closed: %v, want %v", got, want)
					}
					if err, cause := lazy.Err(), context.Cause(lazy); !errors.Is(err, c.err) || !errors.Is(cause, c.cause) {
						t.Errorf("Err is %v, its cause %v; want %v, %v", err, cause, c.err, c.cause)
					}
					if child == nil {
						var stop context.CancelFunc
						child, stop = context.WithCancel(lazy)
						defer stop()
					}
					if err, cause := child.Err(), context.Cause(child); !errors.Is(err, c.err) || !errors.Is(cause, c.cause) {
						t.Errorf("Err of a child is %v, its cause %v; want %v, %v", err, cause, c.err, c.cause)
					}
					if got, want := closed(lazy), c.err != nil; got != want {
						t.Errorf("Done is closed: %v, want %v", got, want)
					}
					if lazy.Value(key{}) != 1 {
						t.Error("the value is missing")
					}
					if ends, ok := lazy.Deadline(); ok != (c.ends > 0) || !ends.Equal(lazy.ends) {
						t.Errorf("the deadline is %v, %v", ends, ok)
					}
				})
			})
		}
	}
}

// asked is a context that waits for what another goroutine does, as one that asks a lease waits for mutexes.
type asked struct {
	context.Context
	waits func()
}

func (a asked) Done() <-chan struct{} { a.waits(); return a.Context.Done() }
func (a asked) Err() error            { a.waits(); return a.Context.Err() }

// What the caller's context does, which may ask a lease of the same client, waits for the mutex of that client:
// Close must not hold it while it waits for a call, whose context asks the caller's.
func TestCloseWaitsForNoContext(t *testing.T) {
	for name, ask := range map[string]func(c *call){"Err": func(c *call) { _ = c.Err() }, "Done": func(c *call) { c.Done() }} {
		t.Run(name, func(t *testing.T) {
			c := &Client{backend: closer{}, over: make(chan struct{}), calls: make(map[*call]struct{})}
			c.janitor.quit, c.unwatch = make(chan struct{}), func() {}
			c.log, c.lines = newLog(nil)
			closes := make(chan struct{})
			var asks atomic.Int32
			call, err := c.beginCall(asked{context.Background(), func() {
				if asks.Add(1) != 2 { // the first is when the call begins
					return
				}
				close(closes)
				for waits := true; waits; { // until Close has begun
					c.mu.Lock()
					waits = !c.closed
					c.mu.Unlock()
				}
			}}, "inspect", "k")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				ask(call)
				call.end()
			}()
			<-closes
			closed := make(chan error, 1)
			go func() { closed <- c.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Error("Close and the call wait for each other")
			}
		})
	}
}

type closer struct{ driver.Backend }

func (closer) Close() error { return nil }
