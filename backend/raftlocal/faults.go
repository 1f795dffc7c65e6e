package raftlocal

import (
	"errors"
	"fmt"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
)

var (
	errClosed = fmt.Errorf("%w: raft: the backend is closed", driver.ErrUnavailable)
	errEnding = fmt.Errorf("%w: raft: the claim is being released", driver.ErrUnavailable)
	// errGone is what a waiter is told, so that it asks anew: it has lost its place, and
	// nothing else.
	errGone = fmt.Errorf("%w: raft: the claim is gone from the cluster", driver.ErrUnavailable)

	// errReleased is what Acquire returns for an owner that has been released.
	errReleased = errors.New("raft: this attempt has been released")
	errForeign  = errors.New("raft: the grant is another client's")

	errEvicted = errors.New("evicted by an operator")
	errExpired = errors.New("it was not renewed in time")
	errLost    = errors.New("the cluster has it no longer: it was not renewed in time, or evicted")
)

// refused is for a reply that says that asking again would not help.
func refused(code command.Code) error {
	if code == command.Invalid {
		return errors.New("raft: the cluster refuses the request: a key, an owner or a TTL is beyond its limits, or its members are of another release")
	}
	return fmt.Errorf("raft: the cluster answers %q, which is no answer to the request: run the same release of fencelock everywhere", code)
}

// why tells holders how they lost a grant.
func why(code command.Code) error {
	if code == command.Evicted {
		return errEvicted
	}
	return errExpired
}
