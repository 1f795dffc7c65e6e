package zkbench

import (
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// Budgets are what fencelock must reach on ZooKeeper. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	all := []report.Budget{
		{
			Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: scenario.AlonePair,
			Against: lockName, Bound: 1.05, BoundDetail: "× " + lockName,
		},
		{
			Scenario: scenario.Callers, Case: scenario.CallersCase(64), Metric: scenario.CallersRate,
			Against: lockName, AtLeast: true, Bound: 1, BoundDetail: "× " + lockName,
		},
	}
	bounds := map[int]float64{64: 1, 1024: 0.5}
	for _, n := range sizes.Queue {
		if bound := bounds[n]; bound != 0 {
			all = append(all, report.Budget{
				Scenario: scenario.Queue, Case: scenario.QueueCase(n), Metric: scenario.HandOff,
				Against: lockName, Bound: bound, BoundDetail: "× " + lockName,
			})
		}
	}
	return append(all, ours.ProcessBudgets(leases)...)
}
