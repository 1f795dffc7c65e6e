// Package zkbench holds what the comparison needs for ZooKeeper: a server, the contestants, and the budgets.
package zkbench

import (
	_ "github.com/fencelock/fencelock/backend/zookeeper" // zookeeper://
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
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
		URL:      urlOf,
		Budgets:  Budgets,
		Plots:    system.Plots("zookeeper", "ZooKeeper", sizes, system.Cost{Metric: scenario.BytesPerHandOff, File: "bytes", Title: "bytes on the wire"}),
	}
}

// A lease is a node in a node of its own, whose name the client knows, with a watch for its loss.
const (
	leaseBytes = 2200 // of memory for a held lease
	maxAllocs  = 60   // of a pair
)

// Why a bound may be missed that was met elsewhere (0076).
const (
	aloneFloor = "the two requests alone, sent by go-zookeeper, took 0.90 × " + lockName + " (quartiles 0.85 to 0.96), nearly all of it in " +
		"the server; ours are 0.94 to 1.00 ×, from run to run"
	allocsFloor = "go-zookeeper makes 38 for the two requests; where the server takes more than 10 ms to answer, the context of each " +
		"caller is asked for its end, which makes 11 more: 70"
)

// Budgets are what fencelock must reach on ZooKeeper. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	alone := report.Budget{Scenario: scenario.Alone, Case: scenario.AloneCase}
	pair, memory := alone, alone
	pair.Metric, pair.Against, pair.Bound, pair.BoundDetail = scenario.AlonePair, lockName, 0.95, "× "+lockName
	pair.Floor, pair.FloorBound = aloneFloor, 1
	memory.Metric, memory.Bound, memory.BoundDetail = scenario.Allocs, maxAllocs, "a pair"
	memory.Floor, memory.FloorBound = allocsFloor, 70
	all := []report.Budget{pair, memory}
	callers := map[int]float64{8: 1.3, 64: 1}
	for _, n := range sizes.Callers {
		if bound := callers[n]; bound != 0 {
			all = append(all, report.Budget{
				Scenario: scenario.Callers, Case: scenario.CallersCase(n), Metric: scenario.CallersRate,
				Against: lockName, AtLeast: true, Bound: bound, BoundDetail: "× " + lockName,
			})
		}
	}
	// A hand-off of ours is one write, whatever waits. Where the disk is so quick that the list of 1,024 costs zk.Lock no more
	// than a write does, the write is more than half of it (0016).
	bounds := map[int]float64{64: 1, 1024: 0.65}
	for _, n := range sizes.Queue {
		if bound := bounds[n]; bound != 0 {
			all = append(all, report.Budget{
				Scenario: scenario.Queue, Case: scenario.QueueCase(n), Metric: scenario.HandOff,
				Against: lockName, Bound: bound, BoundDetail: "× " + lockName,
			})
		}
	}
	return append(all, ours.ProcessBudgetsOf(leases, leaseBytes)...)
}

// Names used by the budgets.
const (
	rawName  = "raw"
	lockName = "zk.Lock"
)

// Contestants lists ours first. Every client they open has a connection of its own to the server at addr.
func Contestants(addr string) []contest.Contestant {
	return []contest.Contestant{fenceLock(addr), raw(addr), zkLock(addr)}
}

func fenceLock(addr string) contest.Contestant {
	return ours.Contestant(addr, "is woken in order, by a watch on the one before", func(addr string) string { return urlOf(addr, ours.Namespace) })
}

func urlOf(addr, namespace string) string { return "zookeeper://" + addr + "?namespace=" + namespace }
