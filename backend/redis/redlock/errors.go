package redlock

import (
	"fmt"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/driver"
)

// NoQuorumError says that too few nodes have answered, or agreed, to know or do what was asked. Its text has a line
// for each node. Get it with errors.As. The kind of the error around it is fencelock.ErrUnavailable as long as asking
// again may help, and fencelock.ErrRefused if a majority refuses for good. A lock that a majority says another holds is
// fencelock.ErrHeld, without a NoQuorumError.
type NoQuorumError = recipe.NoQuorumError

// NodeError is what became of a request on one node.
type NodeError = recipe.NodeError

var errNotOpened = fmt.Errorf("%w: %w within %v", driver.ErrUnavailable, node.ErrNoAnswer, openTimeout)
