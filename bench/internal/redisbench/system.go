// Package redisbench holds what the comparison needs for Redis: a server, the contestants, and the budgets.
package redisbench

import (
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

// Why some bounds are not met, by measurement (Redis 7.0.15, 8.6.3 and Valkey 9.1.2 on the same two processors, 2026-11-29).
const (
	peerFloor = "beside raw a pair costs the server 48 µs more, two scripts for two commands, and this side 40 µs, for deadlines, the queue of " +
		"each key in the process and the clean-up"
	fewFloor = "with 8 callers the rate is of wake-ups: one, two, three or eight requests under way, gathered or not, give 11,500 to 14,000 pairs/s " +
		"by the bare batch and by ours"
	manyFloor = "a pair takes 22 µs of this side's processor, of which 8 are the runtime's scheduling and 5 the network, and 14 of the server's, on two " +
		"processors in all; one request under way or three, gathered or not, give the same"
	queueFloor = "on the same machine in the same hour the build before one-key locks (2daac05) takes 333 to 488 µs, and ours 331 to 436: two round " +
		"trips, and a wake-up of another process"
	nativeFloor = "on a server with a compare-and-delete of its own, the release that meets the first waiter asks twice"
	allocsFloor = "a pair whose requests go by themselves makes 30, one that goes with others 12; so it is of how many go together"
	renewFloor  = "MGET, PEXPIRE of each lease, and between them a comparison in Lua are all that it does: about a quarter, a quarter and a half of its time"
)

// Budgets are what fencelock must reach on Redis. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	alone := report.Budget{Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: scenario.AlonePair}
	bare, peer := alone, alone
	bare.Against, bare.Bound, bare.BoundDetail = RawName, 1.1, "× "+RawName
	bare.Floor = "a lock is three commands in a script, with a token that is ordered; raw's is one SET: the server's processor " +
		"time of a pair is 1.8 times raw's (40 µs and 22 µs, Redis 7.0)"
	bare.FloorBound = 1.75
	peer.Against, peer.Bound, peer.BoundDetail = RueidisName, 0.8, "× "+RueidisName
	peer.Floor, peer.FloorBound = peerFloor, 1.1
	all := []report.Budget{bare, peer}

	callers, callersFloor := []float64{1.2, 2, 2}, []float64{0.6, 1.3, 1}
	why := []string{fewFloor, manyFloor, manyFloor}
	for i, n := range sizes.Callers {
		all = append(all, report.Budget{
			Scenario: scenario.Callers, Case: scenario.CallersCase(n), Metric: scenario.CallersRate,
			Against: RueidisName, AtLeast: true, Bound: callers[i], BoundDetail: "× " + RueidisName,
			Floor: why[i], FloorBound: callersFloor[i],
		})
	}
	at := report.Budget{Scenario: scenario.Callers, Case: scenario.CallersCase(many)}
	allocs, bytes := at, at
	allocs.Metric, allocs.Bound, allocs.BoundDetail = scenario.Allocs, maxAllocs, "a pair"
	allocs.Floor, allocs.FloorBound = allocsFloor, 20
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
	rate.Floor, rate.FloorBound = manyFloor, 1.4
	computed.Metric, computed.Bound = ServerCPU, 0.45
	renewals := computed
	renewals.Scenario, renewals.Case, renewals.Metric, renewals.Bound = scenario.Leases, scenario.LeasesCase(leases), scenario.LeaseCPU, 0.5
	renewals.Floor, renewals.FloorBound = renewFloor, 0.8
	return []report.Budget{rate, computed, renewals}
}

func queueBudgets() []report.Budget {
	bounds, floors := []float64{0.7, 0.5, 0.2, 0.1}, []float64{0.85, 0.75, 0.5, 0.12}
	var all []report.Budget
	for i, n := range sizes.Queue {
		at := report.Budget{Scenario: scenario.Queue, Case: scenario.QueueCase(n)}
		perHandOff, commands, first, pushes := at, at, at, at
		perHandOff.Metric, perHandOff.Against = scenario.HandOff, RueidisName
		perHandOff.Bound, perHandOff.BoundDetail = bounds[i], "× "+RueidisName
		perHandOff.Floor, perHandOff.FloorBound = queueFloor, floors[i]
		commands.Metric, commands.Bound, commands.BoundDetail = scenario.Commands, maxCommands, "per hand-off"
		commands.Floor, commands.FloorBound = nativeFloor, maxCommands+1
		first.Metric, first.Bound, first.BoundDetail = scenario.ToFirst, 1, "until the first grant"
		first.Floor, first.FloorBound = nativeFloor, 2
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
	RawName       = "raw"
	RueidisName   = "rueidislock"
	RedisLockName = "redislock"
)

// Contestants lists ours first. Every client they open has its own connections to the server at addr.
func Contestants(addr string) []contest.Contestant {
	at := oneServer(addr)
	return []contest.Contestant{
		fenceLock(addr),
		Raw(at),
		rawToken(at),
		RueidisLock(at),
		RedisLock(at),
		redSync(addr),
	}
}
