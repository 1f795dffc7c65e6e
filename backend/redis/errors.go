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

// asError is the error that a script has, as a string, in place of an answer for one of the locks of a request.
func asError(script string, answer any) error {
	if text, ok := answer.(string); ok {
		return node.Replied(text)
	}
	return unexpected(script, answer)
}

// only is the answer of a script that is asked about one lock.
func only(reply any) (any, error) {
	if all, ok := reply.([]any); ok && len(all) == 1 {
		if text, ok := all[0].(string); ok {
			return nil, node.Replied(text)
		}
		return all[0], nil
	}
	return nil, unexpected("a script about one lock", reply)
}
