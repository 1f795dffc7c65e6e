package raftbench

import (
	"context"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// The columns of what stands in the log, and of how often a member wrote and synced it.
const (
	entries = "entries"
	fsyncs  = "fsyncs"
)

func meter(addr string) *scenario.Meter {
	ours, _ := split(addr)
	return &scenario.Meter{Writes: entries, Syncs: fsyncs, Read: func(ctx context.Context) (scenario.Load, error) {
		s, err := statusOf(ctx, ours[0])
		return scenario.Load{Writes: s.Log.Committed, Syncs: s.Log.Frames}, err
	}}
}
