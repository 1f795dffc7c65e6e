package drivertest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var goroutineRules = []Rule{{
	Name:     "NoGoroutineLeaks",
	Sentence: "A backend leaks no goroutine past Close, nor with each wait that was cancelled.",
	check: func(r *fixture) {
		r.exercise(r.client()) // what a library starts once and keeps is started now
		label := "goroutines/" + newAttemptID()
		during := make(chan int)
		end := make(chan struct{})
		go pprof.Do(r.Context(), pprof.Labels("drivertest", label), func(context.Context) {
			defer close(end)
			b := r.h.New(r.recorder)
			defer func() { _ = b.Close() }()
			r.exercise(b)
			during <- labelled(label)
			for range 20 {
				r.exercise(b)
			}
			during <- labelled(label)
		})
		var before, after int
		for _, n := range []*int{&before, &after} {
			select {
			case *n = <-during:
			case <-end:
				return // a failure that has been told
			}
		}
		<-end
		if after > before+10 {
			r.Errorf("%d goroutines after one cancelled wait, %d after twenty more", before, after)
		}
		left := labelled(label)
		for end := time.Now().Add(r.slack); left > 0 && time.Now().Before(end); left = labelled(label) {
			_ = pause(r.Context(), r.slack/20) // counting is dear
		}
		if left > 0 {
			r.Errorf("%d goroutines are left after Close", left)
			r.Logf("%s", goroutines())
		}
	},
}}

// exercise takes a lock, loses one, and cancels a wait.
func (r *fixture) exercise(b driver.Backend) {
	key := r.key()
	g := r.mustLock(b, key)
	r.wantHeldByOther(b, key, "held")
	w := r.startWait(b, key)
	r.waitQueued(b, key, 1)
	r.mustCancel(w)
	r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: w.req.AttemptID}, "a waiter")
	r.mustRelease(b, g)
}

// labelled counts the goroutines that were started under a label. Unlike
// runtime.NumGoroutine it is not disturbed by what else goes on in the process.
func labelled(label string) (n int) {
	_, groups, _ := bytes.Cut(goroutines(), []byte("\n")) // the first line is a title
	for _, group := range bytes.Split(groups, []byte("\n\n")) {
		if bytes.Contains(group, []byte(label)) {
			var count int
			if _, err := fmt.Sscanf(string(group), "%d @", &count); err == nil {
				n += count
			}
		}
	}
	return n
}

func goroutines() []byte {
	var buf bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&buf, 1)
	return buf.Bytes()
}
