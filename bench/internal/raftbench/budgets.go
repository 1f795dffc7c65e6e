package raftbench

import (
	_ "github.com/fencelock/fencelock/backend/raftlocal" // raft://

	"github.com/fencelock/fencelock/bench/internal/etcdbench"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

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
	all = append(all, report.Budget{Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: entries, Bound: 2, BoundDetail: "a pair"})
	for _, n := range sizes.Queue {
		all = append(all, report.Budget{Scenario: scenario.Queue, Case: scenario.QueueCase(n), Metric: entries, Bound: 2, BoundDetail: "per hand-off"})
	}
	return append(all, ours.ProcessBudgets(leases)...)
}
