package redlockbench

import (
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// Budgets are what fencelock must reach on Redlock. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	alone := report.Budget{
		Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: scenario.AlonePair,
		Against: twoRoundsName, Bound: 1.15, BoundDetail: "× " + twoRoundsName,
	}
	plain := alone
	plain.Of, plain.Against, plain.Bound, plain.BoundDetail = noTokenName, oneRoundName, 1.1, "× "+oneRoundName
	all := []report.Budget{alone, plain, {
		Scenario: scenario.Callers, Case: scenario.CallersCase(64), Metric: scenario.CallersRate,
		Against: redSyncName, AtLeast: true, Bound: 2, BoundDetail: "× " + redSyncName,
	}}
	for _, n := range []int{16, 64} {
		all = append(all, contended(n)...)
		all = append(all, report.Budget{
			Scenario: scenario.Queue, Case: scenario.QueueCase(n), Metric: scenario.HandOff,
			Against: redSyncName, Bound: 0.2, BoundDetail: "× " + redSyncName,
		})
	}
	few, many := scenario.ContendCase(2), scenario.ContendCase(64)
	all = append(all, report.Budget{
		Scenario: scenario.Contend, Case: many, Metric: scenario.ContendCommands,
		Base:  &report.Base{Scenario: scenario.Contend, Case: few, Metric: scenario.ContendCommands},
		Bound: 3, BoundDetail: "× ours with " + few,
	})
	for _, n := range []int{1, 64} {
		silent := report.Budget{Scenario: scenario.Blackhole, Case: scenario.BlackholeCase(n), Metric: scenario.BlackholePair}
		silent.Base = &report.Base{Scenario: scenario.Blackhole, Case: silent.Case, Metric: scenario.BlackholeHealthy}
		silent.Bound, silent.BoundDetail = 1.2, "× ours while all answer"
		all = append(all, silent)
	}
	return append(all, ours.ProcessBudgets(leases)...)
}

// contended bounds what n clients do that want one key again and again. Those of redsync mostly take it back from
// themselves, which is quick, and lets the others wait.
func contended(n int) []report.Budget {
	at := report.Budget{Scenario: scenario.Contend, Case: scenario.ContendCase(n), Against: redSyncName}
	rate, wait, commands := at, at, at
	rate.Metric, rate.AtLeast, rate.Bound, rate.BoundDetail = scenario.ContendRate, true, 1, "× "+redSyncName
	wait.Metric, wait.Bound, wait.BoundDetail = scenario.ContendWait, 0.1, "× "+redSyncName
	commands.Metric, commands.Bound, commands.BoundDetail = scenario.ContendCommands, 0.5, "× "+redSyncName
	return []report.Budget{rate, wait, commands}
}
