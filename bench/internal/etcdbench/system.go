// Package etcdbench holds what the comparison needs for etcd: a server, the contestants, and the budgets.
package etcdbench

import (
	_ "github.com/fencelock/fencelock/backend/etcd" // etcd://
	"github.com/fencelock/fencelock/bench/internal/contest"
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
		URL:          url,
		Budgets:      Budgets,
		Plots:        system.Plots("etcd", "etcd", sizes, system.Cost{Metric: scenario.Commands, File: "commands", Title: "client messages"}),
	}
}

const (
	maxProposals = 2   // one to take a lock, or to get in line, and one to release it
	maxAllocs    = 250 // of a pair: two requests of gRPC are 180, and decoding their answers 16
)

// guardFloor is why a lone caller is not at 1.02 × concurrency.Mutex, as of 120 rounds side by side.
const guardFloor = "raw+guard, the same two transactions by hand, takes 1.03 × concurrency.Mutex, whose release checks nothing (0023), and raw 0.90 ×"

// fewFloor is why 8 callers are not at 1.1 × concurrency.Mutex: by the time of the processors, which is what they wait for.
const fewFloor = "sent one by one, raw+guard is at 0.97 × concurrency.Mutex; more comes only of fewer requests, for which callers wait for each other: " +
	"1.2 × with one request under way at a time, where two callers take turns"

// Budgets are what fencelock must reach on etcd. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	alone := report.Budget{Scenario: scenario.Alone, Case: scenario.AloneCase}
	pair, memory, writes := alone, alone, alone
	pair.Metric, pair.Against, pair.Bound, pair.BoundDetail = scenario.AlonePair, mutexName, 1.02, "× "+mutexName
	pair.Floor, pair.FloorBound = guardFloor, 1.08
	memory.Metric, memory.Bound, memory.BoundDetail = scenario.Allocs, maxAllocs, "a pair"
	writes.Metric, writes.Bound, writes.BoundDetail = proposals, maxProposals, "a pair"
	few := report.Budget{
		Scenario: scenario.Callers, Case: scenario.CallersCase(8), Metric: scenario.CallersRate,
		Against: mutexName, AtLeast: true, Bound: 1.1, BoundDetail: "× " + mutexName,
		Floor: fewFloor, FloorBound: 0.9,
	}
	all := []report.Budget{pair, memory, writes, few}

	// The better of the two: both.
	for _, n := range []int{64, 1024} {
		for _, against := range []string{rawName, mutexName} {
			all = append(all, report.Budget{
				Scenario: scenario.Callers, Case: scenario.CallersCase(n), Metric: scenario.CallersRate,
				Against: against, AtLeast: true, Bound: 1, BoundDetail: "× " + against,
			})
		}
	}
	all = append(all, report.Budget{
		Scenario: scenario.Turns, Case: scenario.TurnsCase(2), Metric: scenario.TurnsGap,
		Against: rawName, Bound: 1.1, BoundDetail: "× raw",
	})
	return append(append(all, queueBudgets()...), ours.ProcessBudgets(leases)...)
}

func queueBudgets() []report.Budget {
	bounds := map[int]float64{16: 0.85, 64: 0.65}
	var all []report.Budget
	for _, n := range sizes.Queue {
		at := report.Budget{Scenario: scenario.Queue, Case: scenario.QueueCase(n)}
		perHandOff, writes := at, at
		if bound := bounds[n]; bound != 0 {
			perHandOff.Metric, perHandOff.Against = scenario.HandOff, mutexName
			perHandOff.Bound, perHandOff.BoundDetail = bound, "× "+mutexName
			all = append(all, perHandOff)
		}
		writes.Metric, writes.Bound, writes.BoundDetail = proposals, maxProposals, "per hand-off"
		all = append(all, writes)
	}
	return all
}

// Names used by the budgets.
const (
	rawName     = "raw"
	guardedName = "raw+guard"
	mutexName   = "concurrency.Mutex"
)

// Peers are the names of those that ours must not be slower than.
func Peers() []string { return []string{rawName, mutexName} }

// Contestants lists ours first. Every client they open has a connection of its own to the server at addr.
func Contestants(addr string) []contest.Contestant {
	return []contest.Contestant{fenceLock(addr), raw(addr), guarded(addr), mutex(addr)}
}

func fenceLock(addr string) contest.Contestant {
	return ours.Contestant(addr, "is woken in order, by a watch on the one before", func(addr string) string { return url(addr, ours.Namespace) })
}

func url(addr, namespace string) string { return "etcd://" + addr + "/" + namespace }
