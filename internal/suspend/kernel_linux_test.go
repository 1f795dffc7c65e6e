package suspend

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A timer that runs out tells of no jump, and is set again. Close ends a Wait.
func TestTimer(t *testing.T) {
	a, err := newTimer(50 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		set, err := a.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if set {
			t.Log("somebody sets the clock of this machine")
		}
	}
	ended := make(chan error)
	a.ahead = time.Hour
	if _, err := a.set(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := a.Wait(); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond)
	a.Close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Wait after Close: %v", err)
	}
}

// The goroutine that waits for the kernel occupies no thread: there are more of them here
// than a process has threads by then.
func TestTimersNeedNoThread(t *testing.T) {
	threads := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Skip(err)
		}
		return len(tasks)
	}
	before := threads()
	c := Process()
	var stops []func()
	for range 100 {
		single := New(c.source)
		stops = append(stops, single.Watch(func() {}))
	}
	time.Sleep(50 * time.Millisecond)
	if more := threads() - before; more > 50 {
		t.Errorf("%d threads more for 100 alarms", more)
	}
	goroutines := runtime.NumGoroutine()
	for _, stop := range stops {
		stop()
	}
	if after := runtime.NumGoroutine(); after > goroutines-90 {
		t.Errorf("%d goroutines, and %d after 100 watchers have stopped", goroutines, after)
	}
}

// The kernel's clocks keep their distance as long as nobody suspends the machine, and a
// busy machine looks like none that was suspended.
func TestProcess(t *testing.T) {
	c := Process()
	if c == nil {
		t.Fatal("no clock of this process")
	}
	if c != Process() {
		t.Error("two clocks of one process")
	}
	since := time.Now()
	busy, stop := make(chan struct{}), make(chan struct{})
	for range 4 * runtime.GOMAXPROCS(0) {
		go func() {
			for {
				select {
				case <-stop:
					busy <- struct{}{}
					return
				default:
					c.Look()
				}
			}
		}()
	}
	time.Sleep(300 * time.Millisecond)
	close(stop)
	for range 4 * runtime.GOMAXPROCS(0) {
		<-busy
	}
	if d := c.Lost(since); d != 0 {
		t.Errorf("%v were lost while the machine was awake", d)
	}
}

// In virtual time there is no clock: what waits for the kernel would stop it.
func TestNoClockInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if Process() != nil {
			t.Error("there is a clock in virtual time")
		}
		time.Sleep(30 * 365 * 24 * time.Hour) // past today
		if Process() != nil {
			t.Error("there is a clock in virtual time")
		}
	})
	if Process() == nil {
		t.Error("there is none in real time")
	}
}

func BenchmarkLook(b *testing.B) {
	c := Process()
	for b.Loop() {
		c.Look()
	}
}
