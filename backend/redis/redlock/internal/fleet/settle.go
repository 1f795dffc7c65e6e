package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// NodeError is why a node takes no part.
type NodeError struct {
	Node string // its address
	Err  error
}

// grace is how long those that are late have once a majority is fit.
const grace = 250 * time.Millisecond

// Wait waits until the fleet can be used: all that can be known of the nodes is known, or a majority is
// fit and the others have had a moment more. A majority may include nodes that abstain: they will vote by
// themselves. Otherwise the error has a line for each node that takes no part.
func (f *Fleet) Wait(ctx context.Context) error {
	var over <-chan time.Time
	late := false
	for {
		f.mu.Lock()
		v := f.verdictLocked()
		changed := f.changed
		f.mu.Unlock()
		quorum := len(f.members)/2 + 1
		switch {
		case v.wrong != nil && (v.settled || late):
			return v.wrong
		case v.fit >= quorum && (v.settled || late), v.settled && v.fit+v.abstain >= quorum && f.List() != nil:
			f.open()
			return nil
		case v.settled:
			return f.refusal(nil)
		case (v.fit >= quorum || v.wrong != nil) && over == nil:
			timer := time.NewTimer(grace)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-changed:
		case <-over:
			late = true
		case <-ctx.Done():
			return f.refusal(context.Cause(ctx))
		}
	}
}

type verdict struct {
	wrong        error // what was asked for
	settled      bool  // each node was seen, and nothing is to be done
	fit, abstain int
}

func (f *Fleet) verdictLocked() (v verdict) {
	v.settled = true
	answer, passes := 0, false
	for i, st := range f.steps {
		if f.observations[i].answers() {
			answer++
			passes = passes || errors.Is(st.err, driver.ErrUnavailable) && !abstains(st.err)
		}
		switch {
		case !f.observations[i].seen, st.do != rest:
			v.settled = false
		case st.err == nil:
			v.fit++
		case abstains(st.err):
			v.abstain++
		case errors.Is(st.err, driver.ErrInvalid):
			v.wrong = st.err
		}
	}
	// Others may be making the list, or moving the nodes to a newer version.
	if passes && answer > len(f.members)/2 {
		v.settled = false
	}
	return v
}

// open tells the log, from now on, of nodes that take no part. Of those that are missing already the caller
// tells, see Missing.
func (f *Fleet) open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened = true
	for i, st := range f.steps {
		if !st.fit() {
			f.members[i].note(st.err)
		}
	}
}

func (f *Fleet) isOpen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

// Missing are the nodes that take no part now.
func (f *Fleet) Missing() (all []NodeError) {
	for _, m := range f.members {
		if err := m.Fit(); err != nil {
			all = append(all, NodeError{m.name, inWords(err)})
		}
	}
	return all
}

// refusal is the error of nodes that cannot be used, with the reasons by node. Its kind is
// driver.ErrUnavailable as long as those that may come would make a majority. ended is the cause of the context
// that has ended, or nil.
func (f *Fleet) refusal(ended error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	hopeful := 0
	kind := driver.ErrRefused
	lines := make([]string, len(f.members))
	for i, st := range f.steps {
		text := "ok"
		switch err := st.err; {
		case !f.observations[i].seen:
			text = "no answer yet"
			hopeful++
		case err == nil:
			hopeful++
		default:
			text = plain(err)
			if errors.Is(err, driver.ErrUnavailable) {
				hopeful++
			}
			if errors.Is(err, driver.ErrUnsupported) {
				kind = driver.ErrUnsupported
			}
		}
		lines[i] = f.conf.Names[i] + ": " + text
	}
	if hopeful > len(f.members)/2 {
		kind = driver.ErrUnavailable
	}
	if ended != nil {
		kind = ended
	}
	return fmt.Errorf("%w: no majority of the nodes can be used: %s", kind, strings.Join(lines, "; "))
}
