package zookeeper

import (
	"errors"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
)

// Those of the server, and what they say about a request, are in package session.
var (
	errNoPosition = session.Unavailable("the position in the queue is gone")

	// errEarlier is what an attempt gets that only a claim of an earlier build keeps from the
	// lock: see guardName.
	errEarlier = session.Unavailable("the numbers of the lock's node are used up, and an earlier build of fencelock has a claim in it: " +
		"the lock is granted when that is gone")

	errSessionEnded = errors.New("the session with the server has expired")
	errNodeGone     = errors.New("its node was deleted: evicted by an operator, or by somebody who deletes nodes there")
)
