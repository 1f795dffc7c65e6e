// Package raftbench holds what the comparison needs for the built-in Raft: its members, an etcd of as many members beside
// them, the contestants, and the budgets.
package raftbench

import (
	"fmt"

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
