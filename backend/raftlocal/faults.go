package raftlocal

import (
	"errors"
	"fmt"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
)

var (
	errClosed = fmt.Errorf("%w: raft: the backend is closed", driver.ErrUnavailable)
	errEnding = fmt.Errorf("%w: raft: the claim is being released", driver.ErrUnavailable)
	// errGone is what a waiter is told, so that it asks anew: it has lost its place, and
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
		return fmt.Errorf("%w: raft: a key, an owner or a TTL is beyond its limits, or its members are of another release", driver.ErrRefused)
	}
	return fmt.Errorf("raft: the cluster answers %q, which is no answer to the request: run the same release of fencelock everywhere", code)
}

// tooOld is for a command within its limits that a leader does not know, and answers with Invalid, as all members do what
// they do not know. Where the command was sent to more than one leader, the one before may have carried it out.
func tooOld(what string, o client.Outcome) error {
	if o.Again {
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
