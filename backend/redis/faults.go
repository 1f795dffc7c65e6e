package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// passing are the errors of a server that will not stay as it is: it loads its
// data, became a replica, has no memory left, runs somebody's script.
var passing = []string{"LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "OOM", "MISCONF", "max number of clients"}

// fault sorts an error of go-redis: driver.ErrUnavailable where asking again may
// help, the caller's own if its context ended, the server's otherwise.
func fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var reply goredis.Error
	if errors.As(err, &reply) {
		for _, p := range passing {
			if goredis.HasErrorPrefix(err, p) {
				return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
			}
		}
		return err
	}
	return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
}
