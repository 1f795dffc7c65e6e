// Package redisbench holds what the comparison needs for Redis: a server, the contestants, and the budgets.
package redisbench

import (
	"github.com/redis/go-redis/v9"

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
	Turns:   []int{2, 16, 64},
}

// System is Redis.
func System() system.System {
	return system.System{
		Name:         "redis",
		AddrVariable: AddrVariable,
		Libraries: []string{
			"github.com/redis/go-redis/v9", "github.com/redis/rueidis", "github.com/bsm/redislock", "github.com/go-redsync/redsync/v4",
		},
		Start:       Start,
		Contestants: Contestants,
		Sizes:       sizes,
		Leases:      100_000,
		Protocol:    wire.RESP,
		Meter:       meter,
		URL:         url,
		Budgets:     Budgets,
		Beside:      beside,
		Plots:       system.Plots("redis", "Redis", sizes, system.Cost{Metric: scenario.Commands, File: "commands", Title: "client commands"}),
	}
}

// Bounds that no ratio to a peer expresses.
const (
	maxCommands = 3   // of clients, for one hand-off, however long the queue
	flat        = 1.5 // the hand-off of the longest queue over that of the shortest
	many        = 64  // callers whose pairs are bounded in what they cost
	maxAllocs   = 15  // of their pairs
	maxBytes    = 250 // on their wire
	leaseBytes  = 600 // of memory for a held lease
)

// Budgets are what fencelock must reach on Redis. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	alone := report.Budget{Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: scenario.AlonePair}
	bare, peer := alone, alone
	bare.Against, bare.Bound, bare.BoundDetail = rawName, 1.1, "× "+rawName
	bare.Floor = "a lock is three commands in a script, with a token that is ordered; raw's is one SET: the server's processor " +
		"time of a pair is 1.8 times raw's (40 µs and 22 µs, Redis 7.0)"
	bare.FloorBound = 1.75
	peer.Against, peer.Bound, peer.BoundDetail = rueidisName, 0.8, "× "+rueidisName
	all := []report.Budget{bare, peer}

	callers := []float64{1.2, 2, 2}
	for i, n := range sizes.Callers {
		all = append(all, report.Budget{
			Scenario: scenario.Callers, Case: scenario.CallersCase(n), Metric: scenario.CallersRate,
			Against: rueidisName, AtLeast: true, Bound: callers[i], BoundDetail: "× " + rueidisName,
		})
	}
	at := report.Budget{Scenario: scenario.Callers, Case: scenario.CallersCase(many)}
	allocs, bytes := at, at
	allocs.Metric, allocs.Bound, allocs.BoundDetail = scenario.Allocs, maxAllocs, "a pair"
	bytes.Metric, bytes.Bound, bytes.BoundDetail = scenario.WireBytes, maxBytes, "B a pair"
	all = append(all, allocs, bytes)
	return append(append(all, queueBudgets()...), ours.ProcessBudgetsOf(leases, leaseBytes)...)
}

// beside are what fencelock must reach beside the build of another commit: that before a lock had one key
// only. The first name is that of ours, which is then a process of its own, too.
func beside(of, before string, leases int) []report.Budget {
	at := report.Budget{Scenario: scenario.Callers, Case: scenario.CallersCase(many), Of: of, Against: before, BoundDetail: "× " + before}
	rate, computed := at, at
	rate.Metric, rate.AtLeast, rate.Bound = scenario.CallersRate, true, 1.8
	computed.Metric, computed.Bound = serverCPU, 0.45
	renewals := computed
	renewals.Scenario, renewals.Case, renewals.Metric, renewals.Bound = scenario.Leases, scenario.LeasesCase(leases), scenario.LeaseCPU, 0.5
	return []report.Budget{rate, computed, renewals}
}

func queueBudgets() []report.Budget {
	bounds := []float64{0.7, 0.5, 0.2, 0.1}
	var all []report.Budget
	for i, n := range sizes.Queue {
		at := report.Budget{Scenario: scenario.Queue, Case: scenario.QueueCase(n)}
		perHandOff, commands, first, pushes := at, at, at, at
		perHandOff.Metric, perHandOff.Against = scenario.HandOff, rueidisName
		perHandOff.Bound, perHandOff.BoundDetail = bounds[i], "× "+rueidisName
		commands.Metric, commands.Bound, commands.BoundDetail = scenario.Commands, maxCommands, "per hand-off"
		first.Metric, first.Bound, first.BoundDetail = scenario.ToFirst, 1, "until the first grant"
		pushes.Metric, pushes.Bound, pushes.BoundDetail = scenario.PushesToFirst, 1, "until the first grant"
		all = append(all, perHandOff, commands, first, pushes)
	}
	shortest, longest := scenario.QueueCase(sizes.Queue[0]), scenario.QueueCase(sizes.Queue[len(sizes.Queue)-1])
	return append(all, report.Budget{
		Scenario: scenario.Queue, Case: longest, Metric: scenario.HandOff,
		Base:  &report.Base{Scenario: scenario.Queue, Case: shortest, Metric: scenario.HandOff},
		Bound: flat, BoundDetail: "× ours with " + shortest,
	})
}

// Names used by the budgets.
const (
	rawName     = "raw"
	rueidisName = "rueidislock"
)

// Contestants lists ours first. Every client they open has its own connections to the server at addr.
func Contestants(addr string) []contest.Contestant {
	return []contest.Contestant{
		fenceLock(addr),
		raw(addr),
		rawToken(addr),
		rueidisLock(addr),
		redisLock(addr),
		redSync(addr),
	}
}

// goRedis opens a go-redis client as its README does. The pool size is the library's default for everybody.
func goRedis(addr string, o contest.Options) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, Dialer: o.Dial})
}
