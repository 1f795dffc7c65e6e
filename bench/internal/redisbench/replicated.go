package redisbench

import (
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// ReplicatedSizes are those of Sentinel and of a Cluster.
var ReplicatedSizes = scenario.Sizes{
	Callers: []int{8, 64, 1024},
	Queue:   []int{2, 16, 64},
}

// ReplicatedLibraries are those whose versions a report names.
var ReplicatedLibraries = []string{"github.com/redis/go-redis/v9", "github.com/redis/rueidis", "github.com/bsm/redislock"}

// Floor is why a bound cannot be met, and the one that can.
type Floor struct {
	Why   string
	Bound float64
}

// maxLate is how much longer than the bare client fencelock may have no grant in a fail-over.
const maxLate = 300

// ReplicatedBudgets are what fencelock must reach on Sentinel and on a Cluster. leases is the number in the scenario of that
// name; alone is the floor of a lone caller.
func ReplicatedBudgets(leases int, alone Floor) []report.Budget {
	all := []report.Budget{{
		Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: scenario.AlonePair,
		Against: RawName, Bound: 1.1, BoundDetail: "× " + RawName,
		Floor: alone.Why, FloorBound: alone.Bound,
	}}
	for _, peer := range []string{RueidisName, RedisLockName} { // the better of the two: both
		for _, n := range []int{64, 1024} {
			all = append(all, report.Budget{
				Scenario: scenario.Callers, Case: scenario.CallersCase(n), Metric: scenario.CallersRate,
				Against: peer, AtLeast: true, Bound: 1.5, BoundDetail: "× " + peer,
			})
		}
		all = append(all, report.Budget{
			Scenario: scenario.Queue, Case: scenario.QueueCase(64), Metric: scenario.HandOff,
			Against: peer, Bound: 0.5, BoundDetail: "× " + peer,
		})
	}
	for _, name := range []string{Killed, Paused} {
		all = append(all, report.Budget{
			Scenario: scenario.Failover, Case: name, Metric: scenario.FailoverLate, Bound: maxLate, BoundDetail: "ms",
		})
	}
	return append(all, ours.ProcessBudgetsOf(leases, leaseBytes)...)
}
