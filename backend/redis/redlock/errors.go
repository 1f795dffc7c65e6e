package redlock

import "github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"

// NoQuorumError says that too few nodes have answered, or agreed, to know or do what was asked, with a
// line for each node. It is in errors of kind fencelock.ErrUnavailable, as long as asking again may help; get it
// by errors.As. A lock that another holds, by what a majority says, is fencelock.ErrHeld, and none of these.
type NoQuorumError = recipe.NoQuorumError

// NodeError is what became of a request on one node.
type NodeError = recipe.NodeError
