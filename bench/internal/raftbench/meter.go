package raftbench

import (
	"context"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// entries is the column of what stands in the log. Each has cost one fsync on each member, or less.
const entries = "entries"

func meter(addr string) *scenario.Meter {
	ours, _ := split(addr)
	return &scenario.Meter{Writes: entries, Read: func(ctx context.Context) (scenario.Load, error) {
		s, err := statusOf(ctx, ours[0])
		return scenario.Load{Writes: s.Log.Committed}, err
	}}
}
