// Package etcdbench holds what the comparison needs for etcd: a server, the contestants, and the budgets.
package etcdbench

import (
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

var sizes = scenario.Sizes{
	Callers: []int{8, 64, 1024},
	Queue:   []int{2, 16, 64, 256},
	Turns:   []int{2, 64},
}

// System is etcd.
func System() system.System {
	return system.System{
		Name:         "etcd",
		AddrVariable: AddrVariable,
		Libraries:    []string{"go.etcd.io/etcd/client/v3", "google.golang.org/grpc"},
		Start:        Start,
		Contestants:  Contestants,
		Sizes:        sizes,
		Leases:       100_000,
		Protocol:     wire.GRPC,
		Meter:        meter,
		Budgets:      Budgets,
		Plots:        system.Plots("etcd", "etcd", sizes, system.Cost{Metric: scenario.Commands, File: "commands", Title: "client messages"}),
	}
}
