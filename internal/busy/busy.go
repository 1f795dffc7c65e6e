// Package busy measures how much slower a machine is than its processors, since others use
// them. Tests that wait in real time give more of it in proportion, and a run that had too
// little of the processors says so.
package busy

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// sample is how much of a processor one measurement takes. A scheduler that shares a
// processor gives each who wants it some milliseconds in turn: this is several turns.
const sample = 10 * time.Millisecond

// Slowness is how many times as long something takes now as it would if the processor were
// free: 1 on a machine that is quiet, 3 where two others want the same processor all the time.
// It is 1 where that cannot be measured: on systems other than Linux, and in virtual
// time. It takes as long as sample, times the slowness.
func Slowness() float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, used := time.Now(), threadTime()
	for range 1 << 20 {
		spent := threadTime() - used
		if spent >= sample {
			return max(1, float64(time.Since(began))/float64(spent))
		}
		if spent == 0 && time.Since(began) > 2*sample {
			break // it cannot be measured
		}
	}
	return 1
}

// Times is by how much a test that keeps time multiplies what it waits for: the slowness
// in whole numbers, and at most 4. Who is slower proves nothing.
func Times() time.Duration { return time.Duration(min(Slowness()+0.5, 4)) }

// Watch measures every now and then, until the run ends. It costs a hundredth of one
// processor.
func Watch() (stop func() Run) {
	var run Run
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() {
		for {
			run.add(Slowness())
			select {
			case <-time.After(100 * sample):
			case <-done:
				return
			}
		}
	})
	return func() Run {
		close(done)
		watching.Wait()
		return run
	}
}

// Run is how slow the machine was while something ran.
type Run struct {
	Worst float64
	sum   float64
	count int
}

func (r *Run) add(slowness float64) {
	r.Worst = max(r.Worst, slowness)
	r.sum += slowness
	r.count++
}

// Mean is the usual slowness.
func (r Run) Mean() float64 { return r.sum / float64(max(r.count, 1)) }

// String is a sentence for the log of the run.
func (r Run) String() string {
	s := fmt.Sprintf("the machine was %.1f times as slow as its processors, at worst %.1f times", r.Mean(), r.Worst)
	if r.Mean() > TooSlow {
		s += ": too slow for tests that keep time"
	}
	return s
}

// TooSlow is the slowness above which a failure of a test that keeps time proves nothing.
const TooSlow = 6
