package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

var (
	errClosed   = unavailable("the backend is closed")
	errExpired  = unavailable("the session with the server has expired")
	errNoAnswer = unavailable("the server has not answered in time")
	errNoPlace  = unavailable("the place in the queue is gone")

	// errEarlier is what a claim is told that nobody else keeps from the lock: see
	// guardName.
	errEarlier = unavailable("the numbers of the lock's node are used up, and an earlier build of fencelock has a claim in it: " +
		"the lock is granted when that is gone")

	// errReleased is what Acquire returns for an owner that has been released.
	errReleased = errors.New("zookeeper: this attempt has been released")

	errSessionEnded = errors.New("the session with the server has expired")
	errNodeGone     = errors.New("its node was deleted: evicted by an operator")
)

func unavailable(why string) error { return fmt.Errorf("%w: %s", driver.ErrUnavailable, why) }

// lasting are the answers that asking again would not change.
var lasting = []error{
	zk.ErrNoAuth, zk.ErrAuthFailed, zk.ErrInvalidACL, zk.ErrInvalidPath, zk.ErrBadArguments, zk.ErrInvalidFlags,
	zk.ErrNoChildrenForEphemerals,
}

// fault sorts an error of go-zookeeper: driver.ErrUnavailable where asking again
// may help, the caller's own if its context ended, the server's otherwise.
func fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, driver.ErrUnavailable):
		return err
	}
	if lastingFault(err) || errors.Is(err, errReleased) || errors.Is(err, driver.ErrHeld) || errors.Is(err, driver.ErrNotHeld) ||
		errors.Is(err, fencelock.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}

func lastingFault(err error) bool {
	return slices.ContainsFunc(lasting, func(l error) bool { return errors.Is(err, l) }) || unimplemented(err)
}

// answered reports whether an error is the server's answer to the request, so that
// it is known what was done: nothing. All others leave that open.
func answered(err error) bool {
	for _, answer := range []error{zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNotEmpty, zk.ErrBadVersion} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return lastingFault(err)
}

// unimplemented reports whether the server does not know the request. go-zookeeper
// has no name for code -6.
func unimplemented(err error) bool { return err != nil && err.Error() == "unknown error: -6" }
