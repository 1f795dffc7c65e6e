package raftbench

import (
	_ "github.com/fencelock/fencelock/backend/raftlocal" // raft://

	"github.com/fencelock/fencelock/bench/internal/etcdbench"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// mostEntries is one to take a lock, or to get in line, one to release it, and now and then one that tells
// the time: a short line is drained between two of those.
const mostEntries = 2.25

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
	all = append(all, report.Budget{Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: entries, Bound: mostEntries, BoundDetail: "a pair"})
	for _, n := range sizes.Queue {
		all = append(all, report.Budget{Scenario: scenario.Queue, Case: scenario.QueueCase(n), Metric: entries, Bound: mostEntries, BoundDetail: "per hand-off"})
	}
	return append(all, ours.ProcessBudgets(leases)...)
}
