package ours

import (
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// Bounds of what one process may cost, whatever the server.
const (
	leaseBytes    = 1024 // of memory for a held lease
	fewGoroutines = 32   // for all leases of a client together
)

// ProcessBudgets bound what one process may cost: its goroutines are one waiter to the server, and many leases are cheap.
func ProcessBudgets(leases int) []report.Budget {
	crowd := report.Budget{Scenario: scenario.Goroutines, Case: scenario.GoroutinesCase}
	one, handOff := crowd, crowd
	one.Metric, one.Bound, one.BoundDetail = scenario.ServerWaiters, 1, "waiter"
	handOff.Metric = scenario.HandOff
	handOff.Base = &report.Base{Scenario: scenario.Goroutines, Case: scenario.OneWaiterCase, Metric: scenario.HandOff}
	handOff.Bound, handOff.BoundDetail = 1, "× ours with "+scenario.OneWaiterCase

	held := report.Budget{Scenario: scenario.Leases, Case: scenario.LeasesCase(leases)}
	memory, goroutines := held, held
	memory.Metric, memory.Bound, memory.BoundDetail = scenario.LeaseMemory, leaseBytes, "B"
	goroutines.Metric, goroutines.Bound, goroutines.BoundDetail = scenario.LeaseGoroutines, fewGoroutines, "in all"
	return []report.Budget{one, handOff, memory, goroutines}
}
