package suspend_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/internal/suspend"
	"github.com/fencelock/fencelock/internal/suspend/suspendtest"
)

const rounding = 2 * time.Second

// tick lets the monotonic clock go on: what is read at the same moment as a suspend is
// noticed counts as read before it.
func tick() { time.Sleep(time.Millisecond) }

func lost(t *testing.T, c *suspend.Clock, since time.Time, want time.Duration) {
	t.Helper()
	c.Look()
	if got := c.Lost(since); got != want {
		t.Errorf("%v were lost, want %v", got, want)
	}
	if woke := c.Woke(since); woke != (want > 0) {
		t.Errorf("Woke is %v after a loss of %v", woke, want)
	}
}

// A suspend counts against what began before it, with 2 s for the rounding, and costs
// nothing that begins after it. What the distance was before is of no concern.
func TestGrowthCounts(t *testing.T) {
	for _, offset := range []time.Duration{0, 95_000 * time.Second, -5_000 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			m := suspendtest.New(offset)
			c := m.Clock()
			first := time.Now()
			tick()
			lost(t, c, first, 0)
			m.Sleep(9 * time.Second)
			lost(t, c, first, 9*time.Second+rounding)
			tick()
			second := time.Now()
			lost(t, c, second, 0)
			m.Sleep(50 * time.Millisecond)
			lost(t, c, first, 9*time.Second+50*time.Millisecond+2*rounding)
			lost(t, c, second, 50*time.Millisecond+rounding)
		})
	}
}

// Less than 10 ms is ignored, until it adds up.
func TestSmallGrowthAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := suspendtest.New(0)
		c := m.Clock()
		since := time.Now()
		tick()
		m.Sleep(9 * time.Millisecond)
		lost(t, c, since, 0)
		m.Sleep(time.Millisecond)
		lost(t, c, since, 10*time.Millisecond+rounding)
	})
}

// A thread that has to wait between two readings sees a growth that is not there. It
// reads again. A suspend is seen all the same.
func TestPreemptionIsNoGrowth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := suspendtest.New(0)
		c := m.Clock()
		since := time.Now()
		for _, slow := range []int{1, 2, 5} {
			reads := 0
			m.Preempted = func() {
				if reads++; reads <= slow {
					time.Sleep(30 * time.Millisecond)
				}
			}
			lost(t, c, since, 0)
			if reads != slow+1 {
				t.Errorf("%d readings, want %d", reads, slow+1)
			}
		}
		reads := 0
		m.Preempted = func() {
			if reads++; reads <= 2 {
				time.Sleep(30 * time.Millisecond)
			}
		}
		m.Sleep(time.Second)
		lost(t, c, since, time.Second+rounding)
	})
}

// On a machine where all readings are far apart, what may be a growth is one.
func TestDoubtCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := suspendtest.New(0)
		c := m.Clock()
		since := time.Now()
		m.Preempted = func() { time.Sleep(30 * time.Millisecond) }
		c.Look()
		if c.Lost(since) == 0 {
			t.Error("nothing was lost, and nobody can know")
		}
	})
}

// A distance that shrinks is no suspend. The next suspend is seen all the same.
func TestDistanceShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := suspendtest.New(time.Hour)
		c := m.Clock()
		since := time.Now()
		m.Sleep(-time.Minute)
		c.Look()
		if c.Lost(since) != 0 || !c.Woke(since) {
			t.Errorf("%v were lost; Woke is %v, want it true", c.Lost(since), c.Woke(since))
		}
		m.Sleep(time.Second)
		lost(t, c, since, time.Second+rounding)
	})
}

// The books stay small, and nothing is forgotten that counts.
func TestManySuspends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := suspendtest.New(0)
		c := m.Clock()
		const n = 1000
		begun := make([]time.Time, n)
		for i := range begun {
			begun[i] = time.Now()
			tick()
			m.Sleep(time.Second)
			c.Look()
			tick()
		}
		for i, since := range begun {
			want := time.Duration(n-i) * (time.Second + rounding)
			got := c.Lost(since)
			if got < want || i > n-30 && got != want {
				t.Errorf("%v were lost in %d suspends, want %v", got, n-i, want)
			}
		}
		if got := c.Lost(time.Now()); got != 0 {
			t.Errorf("%v were lost since now", got)
		}
	})
}

// Whoever has looked knows, however many look at once.
func TestLookTogether(t *testing.T) {
	m := suspendtest.New(0)
	c := m.Clock()
	for range 200 {
		since := time.Now()
		m.Sleep(time.Second)
		var looking sync.WaitGroup
		for range 8 {
			looking.Go(func() {
				c.Look()
				if got := c.Lost(since); got < time.Second+rounding-10*time.Millisecond || got > time.Second+rounding+10*time.Millisecond {
					t.Errorf("%v were lost, want 3s", got)
				}
			})
		}
		looking.Wait()
		tick()
	}
}

// A nil clock is that of a machine that is never suspended.
func TestNoClock(t *testing.T) {
	var c *suspend.Clock
	c.Look()
	stop := c.Watch(func() { t.Error("told of a wake-up") })
	defer stop()
	if c.Lost(time.Now()) != 0 || c.Woke(time.Now()) {
		t.Error("time was lost on a machine that is never suspended")
	}
}

// Watchers are told of suspends and of steps of the wall clock, by one goroutine and one
// alarm for all, which end with the last watcher.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := suspendtest.New(0)
		c := m.Clock()
		var told [3]int
		var stops []func()
		for i := range told {
			stops = append(stops, c.Watch(func() { told[i]++ }))
		}
		synctest.Wait()
		if told != [3]int{} {
			t.Errorf("told %v times of nothing", told)
		}
		since := time.Now()
		tick()
		m.Ring() // somebody has set the wall clock
		synctest.Wait()
		if told != [3]int{1, 1, 1} || c.Lost(since) != 0 || !c.Woke(since) {
			t.Errorf("told %v times; %v were lost; Woke is %v", told, c.Lost(since), c.Woke(since))
		}
		stops[1]()
		stops[1]()
		tick()
		m.Sleep(time.Second)
		c.Look() // somebody looks before the alarm rings
		m.Ring()
		synctest.Wait()
		if told != [3]int{2, 1, 2} || c.Lost(since) != time.Second+rounding {
			t.Errorf("told %v times; %v were lost", told, c.Lost(since))
		}
		stops[0]()
		stops[2]()
		if now, ever := m.Alarms(); now != 0 || ever != 1 {
			t.Errorf("%d alarms are left of %d", now, ever)
		}

		tick()
		m.Sleep(time.Hour) // nobody watches
		calls := 0
		defer c.Watch(func() { calls++ })()
		synctest.Wait()
		lost(t, c, time.Now(), time.Hour+rounding) // noticed at this moment
		tick()
		lost(t, c, time.Now(), 0)
		if calls != 0 {
			t.Errorf("told %d times of what was before", calls)
		}
	})
}

// Where the kernel tells nothing the clocks are compared now and then. If somebody else
// has looked first, the watchers are told all the same.
func TestWatchWithoutAlarm(t *testing.T) {
	for name, alarm := range map[string]func() (suspend.Alarm, error){
		"none": nil, "forbidden": func() (suspend.Alarm, error) { return nil, errors.ErrUnsupported },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := suspendtest.New(0)
				source := s.Source()
				source.Alarm = alarm
				c := suspend.New(source)
				told := 0
				defer c.Watch(func() { told++ })()
				time.Sleep(time.Minute)
				s.Sleep(time.Second)
				time.Sleep(time.Second)
				synctest.Wait()
				if told != 1 {
					t.Errorf("told %d times, want once", told)
				}
				s.Sleep(time.Second)
				c.Look()
				time.Sleep(time.Second)
				synctest.Wait()
				if told != 2 {
					t.Errorf("told %d times, want twice", told)
				}
			})
		})
	}
}
