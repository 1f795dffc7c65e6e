package redis

import (
	"errors"
	"fmt"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// What the server says is sorted by node.Classify. These are the errors of this package.
var (
	errNotOpened = fmt.Errorf("%w: %w within %v", driver.ErrUnavailable, node.ErrNoAnswer, openTimeout)
	errNotListed = fmt.Errorf("%w: %w within %v", driver.ErrUnavailable, node.ErrNoAnswer, adminTimeout)

	// errGone is what Request.Lost gets when the server is back and has no such grant.
	errGone = errors.New("the server does not know it any more (was it restarted, or its data deleted?)")
)

// unexpected is the error of a reply that our script never makes.
func unexpected(script string, reply any) error {
	return fmt.Errorf("redis: unexpected reply %v to %s", reply, script)
}
