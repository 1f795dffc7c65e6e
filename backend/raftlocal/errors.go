package raftlocal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/driver"
)

const (
	// openWithin is how long who is no member waits for a leader: for an election or two, and less than
	// the 5 s of fencelock.Opener.
	openWithin = 4500 * time.Millisecond
	// awayAfter is how long a client tries where nobody is at any address: members that are started beside it
	// may be a little later.
	awayAfter = time.Second
)

// errOpening is that openWithin is over. It is no end of a caller's context.
var errOpening = fmt.Errorf("not within %v", openWithin)

// classified gives an error of opening a kind, if it has none: see New.
func classified(err error) error {
	var taken *dirlock.TakenError
	var path *disk.PathError
	for _, kind := range []error{driver.ErrUnavailable, driver.ErrRefused, driver.ErrInvalid} {
		if errors.Is(err, kind) {
			return err
		}
	}
	switch {
	case errors.As(err, &taken), errors.Is(err, syscall.EADDRINUSE), errors.Is(err, disk.ErrScarce), errors.Is(err, errOpening),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: raft: %w", driver.ErrUnavailable, err)
	case errors.As(err, &path): // no server has refused anything
		return fmt.Errorf("%w: raft: %w", driver.ErrInvalid, err)
	}
	return fmt.Errorf("%w: raft: %w", driver.ErrRefused, err)
}

// served adds to the error of one who cannot come in which process serves the directory, as far as can be known.
func served(dir string, err error) error {
	if dir == "" {
		return err
	}
	var owner dirlock.Owner
	b, failed := os.ReadFile(filepath.Join(dir, dirlock.File))
	if failed != nil || json.Unmarshal(b, &owner) != nil || owner.PID == 0 || owner.PID == os.Getpid() || noProcess(owner.PID) {
		return err
	}
	how := "it may be stopped or hang"
	if stopped(owner.PID) {
		how = fmt.Sprintf("it is stopped (SIGSTOP, or a debugger): let it go on with kill -CONT %d", owner.PID)
	}
	return fmt.Errorf("%w; the directory is served by process %d: %s, or end it, and another serves", err, owner.PID, how)
}

// noProcess reports whether there is certainly no such process: the file keeps the name of the last that served.
func noProcess(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer func() { _ = p.Release() }()
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// stopped reports whether a process is known to be stopped. Only Linux tells.
func stopped(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	text := string(b)
	after := strings.TrimLeft(text[strings.LastIndexByte(text, ')')+1:], " ")
	return strings.HasPrefix(after, "T") || strings.HasPrefix(after, "t")
}

var (
	errClosed = fmt.Errorf("%w: raft: the backend is closed", driver.ErrUnavailable)
	errEnding = fmt.Errorf("%w: raft: the claim is being released", driver.ErrUnavailable)
	// errGone is what a waiter is told, so that it asks again: it has lost its position, and
	// nothing else.
	errGone = fmt.Errorf("%w: raft: the claim is gone from the cluster", driver.ErrUnavailable)

	errForeign = errors.New("raft: the grant is another client's")

	errExpired = errors.New("it was not renewed in time")
	errLost    = errors.New("the cluster has it no longer: it was not renewed in time, or evicted")
)

// What an answer of a cluster means, or that there is none:
//
//	                                                asking again  it has done
//	for good  command.Invalid                       does not help nothing
//	gone      command.NotHeld, or a claim's end     -             it was done, or there was nothing to do
//	silence   no leader, no majority, no answer,    may help      nobody knows
//	          no room on the disks, a session that
//	          has ended: package client
//
// A leader whose disk is full does not refuse: what it has been asked waits with it, until there is
// room, or is sent to the next leader.

// refused is for a reply that says that asking again would not help. One that is no answer at all
// says nothing of what was done.
func refused(code command.Code) error {
	if code == command.Invalid {
		return fmt.Errorf("%w: raft: a key, an attempt id or a TTL is beyond its limits, or its members are of another release", driver.ErrRefused)
	}
	return fmt.Errorf("raft: the cluster answers %q, which is no answer to the request: run the same release of fencelock everywhere", code)
}

// tooOld is for a command within its limits that a leader does not know, and answers with Invalid, as all members do what
// they do not know. Where the command was sent to more than one leader, the one before may have carried it out.
func tooOld(what string, o client.Outcome) error {
	if o.Resent {
		return fmt.Errorf("%w: raft: the leader is of a release of fencelock from before there was a way %s, and the one before may have done it: upgrade all members", driver.ErrUnavailable, what)
	}
	return fmt.Errorf("%w: raft: the leader is of a release of fencelock from before there was a way %s: upgrade all members, or the processes that share the directory", driver.ErrUnsupported, what)
}

// why tells holders how they lost a grant.
func why(code command.Code) error {
	if code == command.Evicted {
		return driver.ErrEvicted
	}
	return errExpired
}
