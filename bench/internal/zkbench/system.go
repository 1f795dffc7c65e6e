// Package zkbench holds what the comparison needs for ZooKeeper: a server, the contestants, and the budgets.
package zkbench

import (
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

var sizes = scenario.Sizes{
	Callers: []int{8, 64, 1024},
	Queue:   []int{2, 16, 64, 256, 1024},
	Turns:   []int{2, 64},
}

// System is ZooKeeper.
func System() system.System {
	return system.System{
		Name:         "zookeeper",
		AddrVariable: AddrVariable,
		Libraries:    []string{"github.com/go-zookeeper/zk"},
		Start:        Start,
		Contestants:  Contestants,
		Sizes:        sizes,
		// Each is a node in a node of its own, in the memory of the server.
		Leases:   10_000,
		Protocol: wire.ZooKeeper,
		Meter:    meter,
		Budgets:  Budgets,
		Plots:    system.Plots("zookeeper", "ZooKeeper", sizes, system.Cost{Metric: scenario.BytesPerHandOff, File: "bytes", Title: "bytes on the wire"}),
	}
}
