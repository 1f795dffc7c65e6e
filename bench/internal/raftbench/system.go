// Package raftbench holds what the comparison needs for the built-in Raft: its members, an etcd of as many members beside
// them, the contestants, and the budgets.
package raftbench

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/raftlocal" // raft://
	"github.com/fencelock/fencelock/bench/internal/etcdbench"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

var sizes = scenario.Sizes{
	Callers: []int{8, 64, 1024},
	Queue:   []int{2, 16, 64, 256},
	Turns:   []int{2, 64},
}

// System is the built-in Raft of one member, or of three.
func System(members int) system.System {
	name, title := "raftlocal", "built-in Raft"
	if members > 1 {
		name, title = fmt.Sprintf("raftlocal%d", members), fmt.Sprintf("built-in Raft, %d members", members)
	}
	return system.System{
		Name:         name,
		AddrVariable: AddrVariable,
		Libraries:    []string{"go.etcd.io/raft/v3", "go.etcd.io/etcd/client/v3"},
		Start:        starter(members),
		Contestants:  Contestants,
		Sizes:        sizes,
		Leases:       100_000,
		Protocol:     wire.Raft,
		Meter:        meter,
		Members:      members,
		Leader:       leader,
		Budgets:      func(leases int) []report.Budget { return Budgets(members, leases) },
		Plots:        system.Plots(name, title, sizes, system.Cost{Metric: scenario.Commands, File: "commands", Title: "client messages"}),
	}
}

// maxEntries is one to take a lock, or to get in line, one to release it, and now and then one that tells
// the time: a short line is drained between two of those.
const maxEntries = 2.25

// Budgets are what fencelock must reach. leases is the number in the scenario of that name.
func Budgets(members, leases int) []report.Budget {
	timesEtcd := 5.0
	if members > 1 {
		timesEtcd = 2
	}
	var all []report.Budget
	for _, against := range etcdbench.Peers() {
		against = onEtcd + against
		all = append(all, report.Budget{
			Scenario: scenario.Callers, Case: scenario.CallersCase(64), Metric: scenario.CallersRate,
			Against: against, AtLeast: true, Bound: timesEtcd, BoundDetail: "× " + against,
		})
	}
	all = append(all, report.Budget{Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: entries, Bound: maxEntries, BoundDetail: "a pair"})
	for _, n := range sizes.Queue {
		all = append(all, report.Budget{Scenario: scenario.Queue, Case: scenario.QueueCase(n), Metric: entries, Bound: maxEntries, BoundDetail: "per hand-off"})
	}
	return append(all, ours.ProcessBudgets(leases)...)
}

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

// RunMember is a member in a process of its own, until it is told to end.
func RunMember(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return c.Close()
}
