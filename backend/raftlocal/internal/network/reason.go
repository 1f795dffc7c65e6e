package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Reason is why somebody was not reached, in words that are the same each time: what the
// system says has the port of the moment, and would be news at each attempt.
type Reason struct {
	text   string
	err    error // nil for a time that is over: it was ours, and no caller's context has ended
	absent bool
}

func (r *Reason) Error() string { return r.text }

// Unwrap returns what the system said.
func (r *Reason) Unwrap() error { return r.err }

// NewAbsent makes a [Reason] of who has nobody at an address, in better words than those of err.
func NewAbsent(text string, err error) *Reason { return &Reason{text, err, true} }

// Absent reports whether an error says for certain that nobody is at an address, as it would say a
// moment later, too.
func Absent(err error) bool {
	var r *Reason
	return errors.As(err, &r) && r.absent
}

// Mute is what is said of somebody who takes a connection and says nothing on it.
const Mute = "it takes connections and does not answer: it is stopped, it hangs, or it is no member of fencelock"

// Plain makes a [Reason] of an error of a dial, a read or a write, and leaves others as they are, such
// as those that are plain already. late is what it means that the time is over.
func Plain(err error, late string) error {
	var said *Reason
	var mismatch *Mismatch
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case err == nil, errors.As(err, &said), errors.As(err, &mismatch):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Reason{"nobody listens there (connection refused)", err, true}
	case errors.Is(err, fs.ErrNotExist):
		return &Reason{"there is no such socket: nobody listens there", err, true}
	case errors.Is(err, fs.ErrPermission):
		return &Reason{"this user may not connect to it (permission denied)", err, false}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &Reason{"there is no way to that host (no route)", err, false}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Reason{fmt.Sprintf("there is no host of the name %q", dns.Name), err, true}
	case errors.As(err, &dns):
		return &Reason{fmt.Sprintf("the name of the host %q cannot be looked up: the name server does not answer", dns.Name), nil, false}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &Reason{late, nil, false}
	case errors.Is(err, context.Canceled):
		return &Reason{"it was not waited for", nil, false}
	case HungUp(err):
		return &Reason{"it closes the connection without an answer: it is about to end, or it is no member of fencelock", err, false}
	}
	return err
}

// HungUp reports whether an error says no more than that the connection is closed.
func HungUp(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// unreached is what it means that a connection does not come about in time.
const unreached = "no answer: the host is down or cut off, or a firewall drops what is sent to it"
