package latewrite

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// scene is what the workers share. Only the account would be shared in earnest.
type scene struct {
	account  *account
	checker  overlapCheck
	asked    atomic.Int32             // workers that could be suspended
	ready    map[string]chan struct{} // by name; closed when that one is to be
	patience time.Duration            // longer than all of it takes
	*diary
}

// verdict tells how it ended, and returns an error if it is not as promised.
func (s *scene) verdict() error {
	want := opening + payment*len(names)
	balance, overlaps, refusals := s.account.read(), s.checker.overlaps(), s.account.refused()
	s.line("")
	s.line("late writes refused by the token: %d", refusals)
	s.line("leases valid at the same time:    %d", overlaps)
	s.line("balance:                          %d, and %d + %d × %d = %d", balance, opening, len(names), payment, want)
	var errs []error
	if refusals == 0 {
		errs = append(errs, errors.New("the late write was not refused"))
	}
	if overlaps > 0 {
		errs = append(errs, errors.New("two leases were valid at the same time"))
	}
	if balance != want {
		errs = append(errs, errors.New("a payment was lost"))
	}
	return errors.Join(errs...)
}

// overlapCheck looks whether a lease is granted while another is valid. All processes are on
// this machine, so what they tell can be put in order here.
type overlapCheck struct {
	mu    sync.Mutex
	token fencing.Token // of the last grant
	until time.Time     // that lease is valid at least so long; zero once it was released
	found int
}

// granted is called as soon as a worker tells that it has the lock.
func (r *overlapCheck) granted(token fencing.Token, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		r.found++
	}
	r.token, r.until = token, until
}

// released is called when a worker tells that it is going to unlock.
func (r *overlapCheck) released(token fencing.Token) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token == r.token {
		r.until = time.Time{}
	}
}

// last is the token of the last grant.
func (r *overlapCheck) last() fencing.Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token
}

func (r *overlapCheck) overlaps() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}

// diary prints what happens, with the time since it began.
type diary struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

func newDiary(out io.Writer) *diary { return &diary{out: out} }

func (d *diary) title(info driver.Info, life time.Duration) {
	d.line("four processes, one account, one lock on %q (guarantee: %v; features: %v)", info.Name, info.Guarantee, info.Features)
	d.line("a lease that is not renewed ends after %v", life.Round(100*time.Millisecond))
	for _, w := range info.Warnings {
		d.line("note: %s", w)
	}
	d.line("")
}

func (d *diary) say(who, format string, args ...any) {
	at := time.Since(d.began)
	d.line("%6.3f s  %-6s %s", at.Seconds(), who, fmt.Sprintf(format, args...))
}

func (d *diary) line(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, format+"\n", args...)
}
