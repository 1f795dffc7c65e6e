package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// way is how slots move from a master to another.
type way struct {
	name string
	move func(ctx context.Context, w *world, first, last int, from, to *servers.RedisNode) error
}

// ways are those that the servers know: key by key all of them, as a whole Redis since 8.4 and Valkey since 9.0.
func (w *world) ways(t *testing.T) []way {
	t.Helper()
	all := []way{{"KeyByKey", moveKeys}}
	switch help := fmt.Sprint(w.do(t, &w.Nodes[0], "CLUSTER", "HELP")); {
	case strings.Contains(help, "MIGRATESLOTS"):
		all = append(all, way{"AsAWhole", valkeyMoves})
	case strings.Contains(help, "MIGRATION"):
		all = append(all, way{"AsAWhole", redisMoves})
	}
	return all
}

// move moves slots, and returns when every node knows.
func (w *world) move(by way, first, last int, from, to *servers.RedisNode) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := by.move(ctx, w, first, last, from, to)
	if err == nil {
		err = w.awaitMoved(ctx, first, last, to)
	}
	if err != nil {
		return fmt.Errorf("moving the slots %d to %d, %s: %w", first, last, by.name, err)
	}
	return nil
}

// awaitMoved waits until all nodes that answer say that a master has the slots. Redis says that they have moved before the node
// where they were knows.
func (w *world) awaitMoved(ctx context.Context, first, last int, to *servers.RedisNode) error {
	for _, c := range w.plain {
		for {
			ranges, err := c.ClusterSlots(ctx).Result() //nolint:staticcheck // deprecated for CLUSTER SHARDS, which has no place for a slot that is nobody's
			if err != nil && ctx.Err() == nil {         // it has failed, or is none of the Cluster any more
				break
			}
			if has(ranges, to, first) && has(ranges, to, last) {
				break
			}
			if !rest(ctx, 5*time.Millisecond) {
				return fmt.Errorf("not all nodes say that they have moved: %w", ctx.Err())
			}
		}
	}
	return nil
}

func has(ranges []goredis.ClusterSlot, n *servers.RedisNode, slot int) bool {
	return slices.ContainsFunc(ranges, func(r goredis.ClusterSlot) bool {
		return r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 && r.Nodes[0].ID == n.ID
	})
}

// rest returns false if ctx ends.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// moveKeys moves slots one by one, and their keys one by one.
func moveKeys(ctx context.Context, w *world, first, last int, from, to *servers.RedisNode) error {
	source, destination := w.plain[from], w.plain[to]
	host, port, _ := net.SplitHostPort(to.Peer)
	set := func(c *goredis.Client, slot int, words ...any) error {
		return c.Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot}, words...)...).Err()
	}
	for slot := first; slot <= last; slot++ {
		if err := errors.Join(set(destination, slot, "IMPORTING", from.ID), set(source, slot, "MIGRATING", to.ID)); err != nil {
			return err
		}
		for {
			names, err := source.ClusterGetKeysInSlot(ctx, slot, 100).Result()
			if err != nil {
				return err
			}
			if len(names) == 0 {
				break
			}
			for _, name := range names {
				if err := source.Migrate(ctx, host, port, name, 0, 10*time.Second).Err(); err != nil {
					return err
				}
			}
		}
		// The destination first: were it the source, nobody would have the slot for a moment.
		if err := errors.Join(set(destination, slot, "NODE", to.ID), set(source, slot, "NODE", to.ID)); err != nil {
			return err
		}
	}
	return nil
}

// redisMoves has the destination fetch the slots.
func redisMoves(ctx context.Context, w *world, first, last int, _, to *servers.RedisNode) error {
	id, err := w.plain[to].Do(ctx, "CLUSTER", "MIGRATION", "IMPORT", first, last).Text()
	if err != nil {
		return err
	}
	return awaitState(ctx, func() (string, error) {
		status, err := w.plain[to].Do(ctx, "CLUSTER", "MIGRATION", "STATUS", "ID", id).Result()
		return fmt.Sprint(status), err
	})
}

// valkeyMoves has the source send the slots.
func valkeyMoves(ctx context.Context, w *world, first, last int, from, to *servers.RedisNode) error {
	if err := w.plain[from].Do(ctx, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, last, "NODE", to.ID).Err(); err != nil {
		return err
	}
	return awaitState(ctx, func() (string, error) {
		all, err := w.plain[from].Do(ctx, "CLUSTER", "GETSLOTMIGRATIONS").Slice()
		if err != nil || len(all) == 0 {
			return "", err
		}
		return fmt.Sprint(all[0]), nil // the newest
	})
}

func awaitState(ctx context.Context, state func() (string, error)) error {
	for {
		said, err := state()
		switch {
		case err != nil:
			return err
		case strings.Contains(said, "completed"), strings.Contains(said, "success"):
			return nil
		case strings.Contains(said, "failed"), strings.Contains(said, "canceled"):
			return errors.New(said)
		}
		if !rest(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%w: %s", ctx.Err(), said)
		}
	}
}
