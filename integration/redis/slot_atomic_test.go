package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// movesAtomically reports whether the server can move a slot as a whole: Redis since 8.4, Valkey since 9.0.
func (s *slots) movesAtomically(t testing.TB) bool {
	t.Helper()
	help := fmt.Sprint(must(s.clients[0].Do(t.Context(), "CLUSTER", "HELP").Result())(t))
	return strings.Contains(help, "MIGRATESLOTS") || strings.Contains(help, "MIGRATION")
}

// moveAtomically moves the slot as a whole, and returns when it is done. Other goroutines may use the slot
// meanwhile.
func (s *slot) moveAtomically(ctx context.Context, from, to int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	ask := s.redisMoves
	if s.Nodes[0].Kind().String() == servers.Valkey.String() {
		ask = s.valkeyMoves
	}
	state, err := ask(ctx, from, to)
	if err != nil {
		return err
	}
	for {
		said, err := state()
		switch {
		case err != nil:
			return err
		case strings.Contains(said, "completed"), strings.Contains(said, "success"):
			return s.awaitMoved(ctx, from)
		case strings.Contains(said, "failed"), strings.Contains(said, "canceled"):
			return errors.New(said)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", ctx.Err(), said)
		}
	}
}

// awaitMoved waits until a node knows that the slot is no longer its own. Redis says "completed" before, and
// then the node still answers reads.
func (s *slot) awaitMoved(ctx context.Context, node int) error {
	for {
		err := s.clients[node].Exists(ctx, "{"+s.tag+"}").Err()
		if err != nil && strings.HasPrefix(err.Error(), "MOVED ") {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: it does not know that the slot has moved: %w", ctx.Err(), err)
		}
	}
}

// redisMoves has the destination fetch the slot.
func (s *slot) redisMoves(ctx context.Context, _, to int) (state func() (string, error), err error) {
	id, err := s.clients[to].Do(ctx, "CLUSTER", "MIGRATION", "IMPORT", s.number, s.number).Text()
	return func() (string, error) {
		status, err := s.clients[to].Do(ctx, "CLUSTER", "MIGRATION", "STATUS", "ID", id).Result()
		return fmt.Sprint(status), err
	}, err
}

// valkeyMoves has the source send the slot.
func (s *slot) valkeyMoves(ctx context.Context, from, to int) (state func() (string, error), err error) {
	err = s.clients[from].Do(ctx, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", s.number, s.number, "NODE", s.Nodes[to].ID).Err()
	return func() (string, error) {
		all, err := s.clients[from].Do(ctx, "CLUSTER", "GETSLOTMIGRATIONS").Slice()
		if err != nil || len(all) == 0 {
			return "", err
		}
		return fmt.Sprint(all[0]), nil // the newest
	}, err
}
