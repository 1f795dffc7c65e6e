package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// formatPrefix begins an error of a script that found no counter in the namespace, or one of another layout.
const formatPrefix = "FORMAT "

// halfwayPrefix begins an error of a script that had changed the lock before: see end.lua.
const halfwayPrefix = "HALFWAY "

// isFormat reports whether an error says so. What the script has done before is done once.
func isFormat(err error) bool {
	return err != nil && (goredis.HasErrorPrefix(err, formatPrefix) || goredis.HasErrorPrefix(err, halfwayPrefix+formatPrefix))
}

// oldBuilds is what builds before this layout find in place of their counters. Their scripts then fail when
// they would grant, since it is no number.
const oldBuilds = "fencelock-2"

// makeReady makes the namespace ready for this layout, if it is not. Its error is raw, but for a refusal.
func (s *server) makeReady(ctx context.Context) error {
	args := make([]any, 0, shards+2)
	args = append(args, s.names.counter)
	for _, shard := range s.names.shards {
		args = append(args, shard+"t")
	}
	_, err := s.node.Eval(ctx, adminTimeout, formatScript, len(args), append(args, oldBuilds)...)
	if goredis.HasErrorPrefix(err, formatPrefix) {
		return fmt.Errorf("%w: namespace %q belongs to a later build of fencelock (%w): use that, or another namespace",
			driver.ErrRefused, s.names.namespace, err)
	}
	return err
}
