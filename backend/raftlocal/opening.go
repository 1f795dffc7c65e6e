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
